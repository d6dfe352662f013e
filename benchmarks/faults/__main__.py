"""Print what is said about each network, and whether it is right.

    python -m benchmarks.faults [NAME...] [--json FILE]

A name is a part of the names of the networks to run.
"""

from benchmarks.faults import CASES, judge
from benchmarks.faults.record import given
from jaxnets.gradflow import diagnose
from jaxnets.training.machine import environment


FACTS = ("jax", "flax", "optax", "python", "processor", "cores")


def main() -> None:
    """Diagnose the networks that the command line names."""
    asked = given(__doc__)
    networks = []
    for case in filter(lambda case: asked.has(case.name), CASES.values()):
        found = diagnose(case.loss, case.make, case.batch, **case.options).verdicts
        right, said = judge(case, found)
        kinds = sorted(case.kinds)
        seeded = f"fault {'/'.join(kinds)}" if kinds else "healthy"
        mark = "right" if right else "WRONG"
        print(f"| {case.name} | {seeded} | {mark} | {said} |", flush=True)
        networks.append(
            {
                "name": case.name,
                "kinds": kinds,
                "right": right,
                "has_place": bool(case.place),
                "said": said,
            }
        )
    for is_fault, sort in ((True, "faults"), (False, "healthy networks")):
        right = [each["right"] for each in networks if bool(each["kinds"]) == is_fault]
        print(f"{sort}: {sum(right)} of {len(right)} right")
    facts = environment()
    here = {name: facts[name] for name in FACTS}
    asked.write("python -m benchmarks.faults", here, networks)


if __name__ == "__main__":
    main()
