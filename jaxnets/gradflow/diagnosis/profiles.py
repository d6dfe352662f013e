"""The gradient's norm along layers or time steps, and its rate of change per seed."""

import math
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from jaxnets.gradflow.diagnosis.verdict import select
from jaxnets.runs.estimates import Estimate, estimate
from jaxnets.runs.formatting import (
    format_estimate,
    format_factor,
    format_power_of_ten,
)
from jaxnets.runs.records import Record


# In powers of ten, over the whole network or sequence: the norms at both ends differ
# tenfold. A learning rate that suits one end is then ten times wrong for the other,
# which is the distance between points of the usual grids of learning rates. Constant
# factors between layers of unequal size stay well below it.
TENFOLD = 1.0


class Profile(NamedTuple):
    """The norms of one arm at one training step, along layers or time steps.

    Attributes:
        norms: By seed, by position: log10 of the norm.
        names: By position: the name of the tap.
        rates: By seed: the change of log10 of the norm per position towards the
            input, by least squares over its finite values.
        arrivals: By seed: log10 of the norm at the first position over that at the
            last.
        length: Number of positions from the first to the last.
        zeros: Number of norms that are exactly zero.
    """

    norms: dict[int, dict[int, float]]
    names: dict[int, str]
    rates: dict[int, float]
    arrivals: dict[int, float]
    length: int
    zeros: int


def profile(records: list[Record], **fields) -> Profile | None:
    """Return the profile of the `log10_gradient_norm` records with the given fields.

    Returns None if no seed has a finite or zero norm at two positions.
    """
    found = select(records, metric="log10_gradient_norm", **fields)
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
    """Return the change of log10 of the norm per position towards the input.

    Returns NaN if fewer than two norms are finite.
    """
    finite = {p: v for p, v in norms.items() if math.isfinite(v)}
    if len(finite) < 2:
        return math.nan
    slope, _ = np.polyfit(list(finite), list(finite.values()), 1)
    return -float(slope)


def kind_of(rate: Estimate, length: int) -> str:
    """Return the kind of a rate, by what it makes of the gradient over the length.

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


def label(profile: Profile, position: int, unit: str) -> str:
    """Return the name of a position, or its number if several share the name."""
    name = profile.names.get(position, "")
    shared = list(profile.names.values()).count(name) > 1
    return f"{unit} {position}" if shared or not name else name


def quantity_of(
    metric: str, profile: Profile, first: int, last: int, unit: str
) -> tuple[str, ...]:
    """Return what is measured again; not the change over a part of the time steps."""
    if unit == "step":
        tap = profile.names[first]
        return ("gradient_rate_in_time", tap) if metric == "gradient_rate" else ()
    return metric, profile.names[first], profile.names[last]


def rate_in_words(
    kind: str, factor: Estimate, total: float, length: int, unit: str
) -> str:
    """Return a sentence on a rate that all layers or steps share."""
    by = "by a factor of " + format_estimate(factor, format_factor, f" per {unit}")
    over = f"over {length} {unit}{'s' if length > 1 else ''}"
    remains = format_power_of_ten(total)
    if kind == "vanishing":
        return (
            f"On its way back the gradient shrinks {by}: {over} only {remains} of it "
            f"is left, so the first {unit}s hardly take part in learning."
        )
    if kind == "exploding":
        return (
            f"On its way back the gradient grows {by}: {over} it becomes {remains} "
            f"times as large, so one step that suits the last {unit}s is far too large "
            "for the first."
        )
    if kind == "healthy":
        return (
            f"On its way back the gradient changes {by}: {over} by a factor of "
            f"{remains}, less than tenfold, so first and last {unit}s can learn at one "
            "rate."
        )
    return (
        f"On its way back the gradient changes {by}: {over} more than tenfold on "
        "average, but the seeds differ too much to be sure."
    )
