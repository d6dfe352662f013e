"""Spans of a profile: between which layers or steps the gradient shrinks or grows."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from jaxnets.runs.estimates import Estimate, estimate


# By seed, then by position: log10 of the gradient's norm.
Norms = Mapping[int, Mapping[int, float]]

# Log10 of a norm. The smallest number of float32 is 10^-45. If the norm beside a zero
# is below this limit, the zero is an underflow; if it is above, the gradient is cut.
UNDERFLOW = -30.0


class Span(NamedTuple):
    """Two positions of a profile, and how the norm changes between them.

    Attributes:
        first: The position nearer to the input.
        last: The position nearer to the loss.
        change: log10 of the norm at `first` over that at `last`.
    """

    first: int
    last: int
    change: Estimate


def means(norms: Norms) -> dict[int, float]:
    """Return the mean over seeds at every position that is finite in all seeds."""
    positions = sorted({position for row in norms.values() for position in row})
    columns = {p: [row.get(p, math.nan) for row in norms.values()] for p in positions}
    return {
        position: sum(values) / len(values)
        for position, values in columns.items()
        if all(map(math.isfinite, values))
    }


def steepest(norms: Norms, sign: int) -> Span | None:
    """Return the neighbours between which the mean changes most.

    Args:
        norms: The norms of a profile.
        sign: -1 for the largest decrease towards the input, 1 for the largest growth.

    Returns:
        The span, or None if the mean changes nowhere in this direction.

    Example:
        >>> steepest({0: {0: -3.0, 1: -3.0, 2: 0.0, 3: 0.0}}, -1)
        Span(first=1, last=2, change=Estimate(mean=-3.0, low=None, high=None, seeds=1))
    """
    mean = means(norms)
    pairs = list(zip(mean, list(mean)[1:], strict=False))
    return _largest(norms, [(sign * (mean[p] - mean[q]), p, q) for p, q in pairs])


def widest(norms: Norms, sign: int) -> Span | None:
    """Return the two positions between which the mean changes most.

    They need not be neighbours. Arguments and result are those of `steepest`.
    """
    mean = means(norms)
    candidates, best = [], None
    # From the loss back, each norm is compared with the most extreme one so far.
    for position in reversed(list(mean)):
        if best is not None:
            change = sign * (mean[position] - mean[best])
            candidates.append((change, position, best))
        if best is None or sign * (mean[position] - mean[best]) <= 0:
            best = position
    return _largest(norms, candidates)


def _largest(norms: Norms, candidates: list[tuple[float, int, int]]) -> Span | None:
    """Return the span of the largest of `(change, first, last)`, if it is positive."""
    if not candidates or max(candidates)[0] <= 0:
        return None
    _, first, last = max(candidates)
    change = estimate(row[first] - row[last] for row in norms.values())
    return Span(first, last, change) if change else None


def onset(norms: Norms, sign: int) -> int | None:
    """Return the position nearest to the loss whose norm is beyond tenfold of the last.

    Args:
        norms: The norms of a profile.
        sign: -1 for a tenth of the last norm, 1 for ten times the last norm.

    Returns:
        The position, or None if there is none.

    Example:
        >>> onset({0: {0: -3.0, 1: -2.0, 2: -1.0, 3: 0.0}}, -1)
        2
    """
    mean = means(norms)
    if not mean:
        return None
    last = mean[max(mean)]
    beyond = [p for p, value in mean.items() if sign * (value - last) >= 1]
    return max(beyond, default=None)


def cuts(norms: Norms) -> dict[int, int]:
    """Return the positions at which gradients end, by seed.

    A gradient ends at a position if it is exactly zero there and at all positions
    before, while the next position has a norm far above the smallest float.

    Example:
        >>> cuts({0: {0: -math.inf, 1: -math.inf, 2: -0.1}})
        {0: 1}
    """
    found = {}
    for seed, row in norms.items():
        zeros = [position for position, value in row.items() if value == -math.inf]
        finite = [position for position, value in row.items() if math.isfinite(value)]
        if not zeros or not finite or max(zeros) > min(finite):
            continue
        if row[min(finite)] > UNDERFLOW:
            found[seed] = max(zeros)
    return found


def lost(norms: Norms) -> int:
    """Return at how many positions the gradient was too small for float32, in any seed.

    A zero counts if a later norm is near the smallest float. At the last positions it
    is none: the loss does not read the last c of an LSTM.

    Example:
        >>> lost({0: {0: -math.inf, 1: -math.inf, 2: -40.0, 3: -math.inf}})
        2
    """
    found: set[int] = set()
    for row in norms.values():
        tiny = [p for p, value in row.items() if -math.inf < value < UNDERFLOW]
        zeros = [p for p, value in row.items() if value == -math.inf]
        found.update(p for p in zeros if tiny and p < max(tiny))
    return len(found)
