"""Execute the notebooks and store their outputs: `uv run notebooks/execute.py [NAME]`.

The hash of the code cells is stored beside the outputs, so that a test can say whether
the outputs belong to the code.
"""

import argparse
import hashlib
import json
from pathlib import Path

import nbclient
import nbformat


FOLDER = Path(__file__).parent


def sources_hash(notebook: nbformat.NotebookNode) -> str:
    """Return the SHA-256 of all code cells."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def execute(path: Path, folder: Path = FOLDER) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of a new run.

    Args:
        path: The notebook, which is not changed.
        folder: The working directory of its cells.
    """
    notebook = nbformat.read(path, as_version=4)
    # "python3" is the kernel of the interpreter that runs this program.
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        record_timing=False,  # otherwise each run changes the file
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    notebook.metadata["jaxnets"] = {"sources_sha256": sources_hash(notebook)}
    # The version of Python says nothing about the text.
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main() -> None:
    """Execute the notebooks that are named on the command line, or all of them."""
    names = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as " + names[0])
    for name in parser.parse_args().names or names:
        path = FOLDER / f"{name}.ipynb"
        nbformat.write(execute(path), path)
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
