"""Keep what a page shows of a run: `uv run notebooks/evidence/keep.py RUN NAME`.

A page reads `NAME.json`, so that its tables are those of a run, with its command,
date, machine and versions. RUN is the folder of a run, or the file that
`jaxnets bench --json` wrote; that of a benchmark becomes `bench/NAME.json`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from jaxnets.runs.folder import RunFolder
from jaxnets.runs.selection import at_end


CLAIM = ("claim", "statement", "sentence")
VERDICT = ("study", "where", "kind", "severity", "sentence")
MACHINE = ("jaxnets", "jax", "flax", "optax", "python", "device", "processor", "cpus")
OUTCOMES = ("test_loss", "solved", "lyapunov_exponent", "memory_exponent")
OUTCOMES += ("train_accuracy", "test_accuracy")
RUN_MACHINE = (*MACHINE, "load")
COMPILERS = ("libtpu", "jax-cuda13-pjrt")
BENCH_MACHINE = ("command", "date", *MACHINE, "cores", "load", "torch", *COMPILERS)


def keep(run: Path, name: str, folder: Path) -> Path:
    """Write the parts of a run's summary that pages show, and return the file."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    some = lambda entry, names: {key: entry[key] for key in names if key in entry}
    kept = {
        # Where the run was written is of no interest to others.
        "command": summary["command"].partition(" --out")[0],
        "started": summary["started"],
        "seconds": summary["seconds"],
        "environment": some(summary["environment"], RUN_MACHINE),
        "claims": [some(entry, CLAIM) for entry in summary.get("claims", [])],
        "verdicts": [some(entry, VERDICT) for entry in summary.get("verdicts", [])],
        "outcomes": outcomes(run),
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return path


def outcomes(run: Path) -> list[dict[str, Any]]:
    """Return how each arm ended: for each metric one number for each seed."""
    found: dict[str, dict[str, Any]] = {}
    for each in at_end(RunFolder(run).records()):
        if each.metric in OUTCOMES:
            arm = found.setdefault(each.arm, {"study": each.study, "arm": each.arm})
            arm.setdefault(each.metric, []).append(float(f"{each.value:.6g}"))
    return [*found.values()]


def keep_benchmark(record: Path, name: str, folder: Path) -> Path:
    """Write the record of a benchmark, with times to four digits, and return the file.

    Raises:
        ValueError: If the run does not say with which command it was made.
    """
    found = json.loads(record.read_text(encoding="utf-8"))
    if "command" not in found["environment"]:
        raise ValueError(f"{record} names no command; run `jaxnets bench` again.")
    some = found["environment"].items()
    found["environment"] = {key: fact for key, fact in some if key in BENCH_MACHINE}
    short = lambda value: float(f"{value:.4g}")
    for each in found.get("measurements", []):
        times, compiled = each["seconds"], each["compile_seconds"]
        each["seconds"] = {who: [*map(short, times[who])] for who in times}
        each["compile_seconds"] = {who: short(compiled[who]) for who in compiled}
    for each in found.get("cases", []):
        for figures in each["programs"].values():
            figures["compile_seconds"] = short(figures["compile_seconds"])
            figures["roofline_seconds"] = short(figures["roofline_seconds"])
    path = folder / "bench" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    # A case is a line, so that a new run shows what has changed.
    cases = "measurements" if "measurements" in found else "cases"
    lines = ",\n".join(json.dumps(case) for case in found.pop(cases))
    head = json.dumps(found)[:-1]
    path.write_text(f'{head}, "{cases}": [\n{lines}\n]}}\n', encoding="utf-8")
    return path


def main() -> None:
    """Keep the run that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder or file of the run"
    )
    parser.add_argument("name", metavar="NAME", help="such as theory")
    given = parser.parse_args()
    write = keep_benchmark if given.run.is_file() else keep
    print(write(given.run, given.name, Path(__file__).parent))


if __name__ == "__main__":
    main()
