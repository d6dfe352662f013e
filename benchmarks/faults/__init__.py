"""A suite of networks with seeded faults, and of healthy ones, to be diagnosed.

`case` says what a case is and has the data, `nets` has building blocks; the other files
have the networks, one class or function each. `python -m benchmarks.faults` prints the
verdicts on all of them.
"""

from benchmarks.faults import healthy, losses, others, parts, sizes, steps
from benchmarks.faults.case import CASES, Case, judge


__all__ = [
    "CASES",
    "Case",
    "healthy",
    "judge",
    "losses",
    "others",
    "parts",
    "sizes",
    "steps",
]
