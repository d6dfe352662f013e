"""The gradient's norm from place to place: what is read from it for each seed."""

import math
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from jaxnets.gradflow.diagnosis.verdict import select
from jaxnets.runs.estimates import Estimate, estimate
from jaxnets.runs.records import Record


# Over the whole network or sequence. A learning rate that suits one end is then ten
# times wrong for the other, as far apart as the points of the usual grids of rates; and
# constant factors between layers of unequal size stay well below it.
TENFOLD = 1.0


class Profile(NamedTuple):
    """The norms of one arm at one step, along blocks or time steps.

    Attributes:
        norms: By seed, by position: log10 of the norm.
        names: By position: what the place is called.
        rates: By seed: what log10 of the norm gains per place on the way back, the
            least-squares slope over its finite values.
        arrivals: By seed: log10 of the first place's norm over the last one's.
        length: Places between the first and the last.
        zeros: How many norms were exactly zero.
    """

    norms: dict[int, dict[int, float]]
    names: dict[int, str]
    rates: dict[int, float]
    arrivals: dict[int, float]
    length: int
    zeros: int


def profile(records: list[Record], **wanted) -> Profile | None:
    """Collect the profile of the `log10_gradient_norm` records that are `wanted`.

    None where no seed has a finite or zero norm at two places.
    """
    found = select(records, metric="log10_gradient_norm", **wanted)
    seeds: defaultdict[int, dict[int, float]] = defaultdict(dict)
    names: dict[int, str] = {}
    for record in found:
        if record.position is not None:
            seeds[record.seed][record.position] = record.value
            names[record.position] = record.place
    length = max(names, default=0) - min(names, default=0)
    if not length:
        return None
    rates, arrivals = {}, {}
    for seed, norms in seeds.items():
        rates[seed] = rate = _rate(norms)
        arrival = norms.get(min(names), math.nan) - norms.get(max(names), math.nan)
        arrivals[seed] = arrival if math.isfinite(arrival) else rate * length
    zeros = sum(record.value == -math.inf for record in found)
    if not zeros and estimate(rates.values()) is None:
        return None
    return Profile(dict(seeds), names, rates, arrivals, length, zeros)


def _rate(norms: dict[int, float]) -> float:
    """What log10 of the norm gains per place backwards; NaN from under two places."""
    finite = {p: v for p, v in norms.items() if math.isfinite(v)}
    if len(finite) < 2:
        return math.nan
    slope, _ = np.polyfit(list(finite), list(finite.values()), 1)
    return -float(slope)


def kind_of(rate: Estimate, length: int) -> str:
    """Judge a rate by what it makes of the gradient over the whole length.

    `vanishing` and `exploding`: the whole interval is beyond tenfold. `healthy`: the
    mean is within tenfold. `unclear`: the mean is beyond it, the interval is not.

    Example:
        >>> kind_of(Estimate(-0.2, -0.25, -0.15, 5), 20)
        'vanishing'
        >>> kind_of(Estimate(-0.2, -0.45, 0.05, 2), 20)
        'unclear'
    """
    low, high = rate.interval
    if high * length <= -TENFOLD:
        return "vanishing"
    if low * length >= TENFOLD:
        return "exploding"
    return "healthy" if abs(rate.mean) * length < TENFOLD else "unclear"
