"""Print what is said about each network, and whether it is right.

    python -m benchmarks.faults [NAME...]

A name is a part of the names of the networks to run.
"""

import sys
import time

from benchmarks.faults import CASES, judge
from jaxnets.gradflow import diagnose


def main(names: list[str]) -> int:
    chosen = [c for c in CASES.values() if not names or any(n in c.name for n in names)]
    counts = {True: [0, 0], False: [0, 0]}
    for case in chosen:
        start = time.perf_counter()
        found = diagnose(case.loss, case.make, case.batch, **case.options).verdicts
        right, words = judge(case, found)
        count = counts[bool(case.kinds)]
        count[0] += right
        count[1] += 1
        seconds = time.perf_counter() - start
        sort = "fault" if case.kinds else "healthy"
        mark = "right" if right else "WRONG"
        wanted = "/".join(sorted(case.kinds))
        print(f"| {case.name} | {sort} {wanted} | {mark} | {words} | {seconds:.1f} s |")
        sys.stdout.flush()
    for sort, (right, total) in counts.items():
        print(f"{'faults' if sort else 'healthy networks'}: {right} of {total} right")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
