"""Keep what a page shows of a run: `uv run notebooks/evidence/keep.py RUN NAME`.

The page reads `NAME.json`, so that its tables are those of a run, with its command,
date, machine and versions.
"""

import argparse
import json
from pathlib import Path


CLAIM = ("claim", "statement", "sentence")
VERDICT = ("study", "where", "kind", "severity", "sentence")
MACHINE = ("jaxnets", "jax", "flax", "optax", "python", "device", "processor", "cpus")


def keep(run: Path, name: str, folder: Path) -> Path:
    """Write the parts of a run's summary that pages show, and return the file."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    some = lambda entry, names: {key: entry[key] for key in names if key in entry}
    kept = {
        # Where the run was written is of no interest to others.
        "command": summary["command"].partition(" --out")[0],
        "started": summary["started"],
        "seconds": summary["seconds"],
        "environment": some(summary["environment"], MACHINE),
        "claims": [some(entry, CLAIM) for entry in summary.get("claims", [])],
        "verdicts": [some(entry, VERDICT) for entry in summary.get("verdicts", [])],
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Keep the run that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument("name", metavar="NAME", help="such as theory")
    given = parser.parse_args()
    print(keep(given.run, given.name, Path(__file__).parent))


if __name__ == "__main__":
    main()
