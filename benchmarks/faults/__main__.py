"""Print what is said about each network, and whether it is right.

    python -m benchmarks.faults [NAME...] [--json FILE]

A name is a part of the names of the networks to run.
"""

import argparse
import json
import shlex
import time
from pathlib import Path

from benchmarks.faults import CASES, judge
from jaxnets.gradflow import diagnose
from jaxnets.training.machine import environment


FACTS = ("jax", "flax", "optax", "python", "processor", "cores")


def main() -> None:
    """Diagnose the networks that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a record")
    given = parser.parse_args()
    is_chosen = lambda name: not given.names or any(n in name for n in given.names)
    date = time.strftime("%Y-%m-%d")
    networks = []
    for case in CASES.values():
        if not is_chosen(case.name):
            continue
        found = diagnose(case.loss, case.make, case.batch, **case.options).verdicts
        right, said = judge(case, found)
        kinds = sorted(case.kinds)
        print(
            f"| {case.name} | {f'fault {"/".join(kinds)}' if kinds else 'healthy'} | "
            f"{'right' if right else 'WRONG'} | {said} |",
            flush=True,
        )
        networks.append(
            {
                "name": case.name,
                "kinds": kinds,
                "right": right,
                "has_place": bool(case.place),
                "said": said,
            }
        )
    for kind, sort in ((True, "faults"), (False, "healthy networks")):
        right = [each["right"] for each in networks if bool(each["kinds"]) == kind]
        print(f"{sort}: {sum(right)} of {len(right)} right")
    if given.json:
        facts = environment()
        record = {
            "command": shlex.join(["python", "-m", "benchmarks.faults", *given.names]),
            "date": date,
            "environment": {name: facts[name] for name in FACTS},
        }
        _write(given.json, record, networks)


def _write(path: Path, record: dict, networks: list[dict]) -> None:
    """Write one line for each network, so that a new run shows what has changed."""
    lines = ",\n".join(json.dumps(each) for each in networks)
    head = json.dumps(record)[:-1]
    path.write_text(f'{head}, "networks": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
