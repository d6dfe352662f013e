"""The records of a network by the series of taps that they belong to."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection

from jaxnets.gradflow.diagnosis.models.chains import ARRAYS, WOKEN, chains, states
from jaxnets.gradflow.diagnosis.profiles import Profile, profile
from jaxnets.gradflow.diagnosis.verdict import select
from jaxnets.runs.records import Record


def split(records: list[Record]) -> tuple[list[Record], dict[str, list[Record]]]:
    """Return the norms along depth and, by tap, those along time."""
    norms = select(records, metric="log10_gradient_norm")
    positions: defaultdict[str, set[int | None]] = defaultdict(set)
    for record in norms:
        positions[record.place].add(record.position)
    in_time = [tap for tap, found in positions.items() if len(found) > 1]
    depth = [record for record in norms if record.place not in in_time]
    return depth, {tap: select(norms, place=tap) for tap in states(in_time)}


def series(depth: list[Record], records: list[Record]) -> list[list[Record]]:
    """Return the records of each series of taps that can be compared.

    The series are those of the records `chain`, or else come from the names.
    """
    chained = select(records, metric="chain")
    if chained:
        numbers = sorted({record.value for record in chained})
        found = []
        for number in numbers:
            places = {r.place: r.position for r in chained if r.value == number}
            rows = [
                r._replace(position=places[r.place]) for r in depth if r.place in places
            ]
            found.append(rows)
        return found
    ordered = sorted(depth, key=lambda record: record.position or 0)
    taps = list(dict.fromkeys(record.place for record in ordered))
    return [
        [record for record in ordered if record.place in series]
        for series in chains(taps)
    ]


def activation_of(records: list[Record], taps: Collection[str]) -> str:
    """Return the kind of most activations at or below some taps, such as "relu".

    It is empty if none is known. A softmax is the activation of no layer.

    Args:
        records: The records of one network, with those of the metric `activation`.
        taps: Names of taps; those of one layer of a stack end with its number, such as
            `blocks[3]`.
    """
    names = {without_number(tap) for tap in taps}
    kinds: Counter[str] = Counter()
    for record in select(records, metric="activation"):
        tap, _, kind = record.place.partition("|")
        below = any(tap == name or tap.startswith(f"{name}/") for name in names)
        kinds[kind] += below and kind != "softmax"
    ((kind, count),) = kinds.most_common(1) or [("", 0)]
    return kind if count else ""


def without_number(tap: str) -> str:
    """Return the name of a tap without the number of the layer in a stack.

    Example:
        >>> without_number("blocks/a[3]")
        'blocks/a'
    """
    return re.sub(r"\[\d+\]$", "", tap)


def renumbered(records: list[Record]) -> list[Record]:
    """Return the records of a series with positions from 0 without gaps."""
    positioned = [(r, r.position) for r in records if r.position is not None]
    count = {
        p: n for n, p in enumerate(sorted({position for _, position in positioned}))
    }
    return [r._replace(position=count[position]) for r, position in positioned]


def counted(records: list[Record]) -> Profile | None:
    """Return the profile along a series, with positions counted from 0 without gaps."""
    return profile(renumbered(records))


def woken_later(records: list[Record]) -> list[Record]:
    """Return that arrays without a gradient at first have woken by a later step.

    Args:
        records: The records of one network at all steps.
    """
    gradients = select(records, metric=ARRAYS)
    zero = {r.place for r in gradients if r.step == 0 and r.value == -math.inf}
    return [
        record._replace(metric=WOKEN, step=0)
        for record in gradients
        if record.step > 0 and record.place in zero and math.isfinite(record.value)
    ]
