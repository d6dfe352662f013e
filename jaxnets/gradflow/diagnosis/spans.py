"""Where along a profile the gradient is lost or grows: which block, from which step."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from jaxnets.runs.estimates import Estimate, estimate


# By seed, then by position: log10 of the gradient's norm.
Norms = Mapping[int, Mapping[int, float]]

# Below it neighbours of a zero are no more than what float32 cannot hold (its smallest
# number is 10^-45); above it a zero beside a finite norm is a cut, not an underflow.
UNDERFLOW = -30.0


class Span(NamedTuple):
    """A stretch of the profile.

    Attributes:
        first: Position nearer to the input.
        last: Position nearer to the loss.
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
    """Return the neighbours between which the mean changes most in direction `sign`.

    `sign` is -1 for a loss on the way back and 1 for growth.

    Example:
        >>> steepest({0: {0: -3.0, 1: -3.0, 2: 0.0, 3: 0.0}}, -1)
        Span(first=1, last=2, change=Estimate(mean=-3.0, low=None, high=None, seeds=1))
    """
    mean = means(norms)
    pairs = list(zip(mean, list(mean)[1:], strict=False))
    return _most(norms, [(sign * (mean[p] - mean[q]), p, q) for p, q in pairs])


def widest(norms: Norms, sign: int) -> Span | None:
    """Return the two places between which the mean changes most in direction `sign`."""
    mean = means(norms)
    candidates, best = [], None
    # From the loss back: against the largest (smallest) norm that came before.
    for position in reversed(list(mean)):
        if best is not None:
            change = sign * (mean[position] - mean[best])
            candidates.append((change, position, best))
        if best is None or sign * (mean[position] - mean[best]) <= 0:
            best = position
    return _most(norms, candidates)


def _most(norms: Norms, candidates: list[tuple[float, int, int]]) -> Span | None:
    if not candidates or max(candidates)[0] <= 0:
        return None
    _, first, last = max(candidates)
    change = estimate(row[first] - row[last] for row in norms.values())
    return Span(first, last, change) if change else None


def onset(norms: Norms, sign: int) -> int | None:
    """Return the place nearest to the loss that is beyond tenfold of the last one.

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
    """Return, by seed, the last place before the one where the gradient ends.

    A gradient ends where it is exactly zero at a place and at all places before it,
    while the next place still holds a norm that is far from the smallest float.

    Example:
        >>> cuts({0: {0: -math.inf, 1: -math.inf, 2: -0.1}})
        {0: 1}
    """
    found = {}
    for seed, row in norms.items():
        zeros = [position for position, value in row.items() if value == -math.inf]
        alive = [position for position, value in row.items() if math.isfinite(value)]
        if zeros and alive and max(zeros) < min(alive) and row[min(alive)] > UNDERFLOW:
            found[seed] = max(zeros)
    return found
