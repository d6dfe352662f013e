"""How the gradient's norm changes from place to place, and whether that is healthy."""

import math
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from jaxnets.gradflow.diagnosis.estimates import (
    Estimate,
    estimate,
    power,
    power_in_words,
    with_interval,
)
from jaxnets.gradflow.diagnosis.verdict import Verdict, select
from jaxnets.records import Record


# Over the whole network or sequence. A learning rate that suits one end is then ten
# times wrong for the other, as far apart as the points of the usual grids of rates; and
# constant factors between layers of unequal size stay well below it.
TENFOLD = 1.0


class Profile(NamedTuple):
    """The norms of one arm at one step, along blocks or time steps.

    Attributes:
        rates: By seed: what log10 of the norm gains per place on the way back, the
            least-squares slope over its finite values.
        arrivals: By seed: log10 of the first place's norm over the last one's.
        length: Places between the first and the last.
        zeros: How many norms were exactly zero.
    """

    rates: list[float]
    arrivals: list[float]
    length: int
    zeros: int


def profile(records: list[Record], **wanted) -> Profile | None:
    """Collect the profile of the `log10_gradient_norm` records that are `wanted`.

    None where no seed has a finite or zero norm at two places.
    """
    found = select(records, metric="log10_gradient_norm", **wanted)
    seeds: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for record in found:
        if record.position is not None:
            seeds[record.seed][record.position] = record.value
    places = {position for norms in seeds.values() for position in norms}
    length = max(places, default=0) - min(places, default=0)
    if not length:
        return None
    rates, arrivals = [], []
    for norms in seeds.values():
        rate = _rate(norms)
        rates.append(rate)
        arrival = norms.get(min(places), math.nan) - norms.get(max(places), math.nan)
        arrivals.append(arrival if math.isfinite(arrival) else rate * length)
    zeros = sum(record.value == -math.inf for record in found)
    if not zeros and estimate(rates) is None:
        return None
    return Profile(rates, arrivals, length, zeros)


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
    low, high = rate.bounds
    if high * length <= -TENFOLD:
        return "vanishing"
    if low * length >= TENFOLD:
        return "exploding"
    return "healthy" if abs(rate.mean) * length < TENFOLD else "unclear"


def flow_verdict(
    flow: Profile, *, study: str, where: str, place: str, remedies: dict[str, str]
) -> Verdict:
    """Judge one profile; `place` is what its positions count, `block` or `step`."""
    rate = estimate(flow.rates)
    if rate is None:
        return Verdict(
            where,
            0.0,
            10 ** (-TENFOLD / flow.length),
            f"The gradient is exactly zero at {flow.zeros} places and nowhere can its "
            "rate be read: nothing that the first layers do reaches the loss.",
            remedies["vanishing"],
            "vanishing",
            study,
        )
    kind = kind_of(rate, flow.length)
    factor = rate.map(power)
    sign = 1 if rate.mean > 0 else -1
    total = rate.mean * flow.length
    sentence = _sentence(kind, factor, total, flow.length, place)
    if flow.zeros:
        sentence += (
            f" At {flow.zeros} places it was too small for the number format and "
            "became exactly zero."
        )
    return Verdict(
        where,
        factor.mean,
        10 ** (sign * TENFOLD / flow.length),
        sentence,
        remedies[kind],
        kind,
        study,
        factor.low,
        factor.high,
    )


def _sentence(
    kind: str, factor: Estimate, total: float, length: int, place: str
) -> str:
    by = "by a factor of " + with_interval(factor, unit=f" per {place}")
    over = f"over {length} {place}s"
    left = power_in_words(total)
    if kind == "vanishing":
        return (
            f"On its way back the gradient shrinks {by}: {over} only {left} of it is "
            f"left, so the first {place}s hardly take part in learning."
        )
    if kind == "exploding":
        return (
            f"On its way back the gradient grows {by}: {over} it becomes {left} times "
            f"as large, so one step that suits the last {place}s is far too large for "
            "the first."
        )
    if kind == "healthy":
        return (
            f"On its way back the gradient changes {by}: {over} by a factor of {left}, "
            f"less than tenfold, so first and last {place}s can learn at one rate."
        )
    return (
        f"On its way back the gradient changes {by}: {over} more than tenfold on "
        "average, but the seeds differ too much to be sure."
    )
