"""Every notebook runs from top to bottom, says nothing on stderr, is kept stripped."""

import pathlib

import nbclient
import nbformat
import pytest


FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
every_notebook = pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem
)


def test_there_are_notebooks():
    assert list(FOLDER.glob("*.ipynb"))


@every_notebook
def test_a_notebook_is_stripped(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@every_notebook
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    # No setting of the person who runs the tests, and no history left with them.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(path, as_version=4)
    # "python3" is the kernel of the interpreter that runs this test.
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"{cell.source}\n{output.text}"
