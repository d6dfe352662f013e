"""The lines of a chart and its axes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from jaxnets.runs.estimates import Estimate
from jaxnets.runs.intervals import UNBOUNDED, Bounds


# The roles of lines in a figure that compares a measurement with theory.
MEASURED, PREDICTED, REFINED = "measured", "theory", "theory, refined"
# Lines with these roles belong to no seed.
THEORY_ROLES = (PREDICTED, REFINED)


class Line(NamedTuple):
    """One line of a chart.

    Attributes:
        family: The kind of network, which determines colour and marker.
        role: What the line shows, such as `measured`, which determines the dash; empty
            if all lines of the chart have one role.
        points: Pairs `(x, estimate over seeds)`, by increasing x.
    """

    family: str
    role: str
    points: list[tuple[float, Estimate]]


class Axes(NamedTuple):
    """Titles and scales of a chart's axes.

    Attributes:
        x: Title of the horizontal axis, with its unit.
        y: Title of the vertical axis, with its unit.
        bounds: The smallest and the largest value that the quantity can have.
        share: Whether the values are shares, shown as percentages.
        log: Whether the vertical axis is logarithmic if the values span more than a
            factor of 50.
        bars: Whether x has few values. Each of them then has a tick, and intervals are
            drawn as bars; otherwise they are drawn as bands.
    """

    x: str
    y: str
    bounds: Bounds = UNBOUNDED
    share: bool = False
    log: bool = False
    bars: bool = False


class Range(NamedTuple):
    """The vertical range that all panels of a figure share."""

    low: float
    high: float
    log: bool


def vertical_range(lines: Sequence[Line], axes: Axes) -> Range:
    """Return the range that shows all means and the nearby part of their intervals.

    With three seeds an interval can be many times as wide as the distance between the
    lines. An interval is therefore clipped where it leaves the range of the means by
    more than half of that range.
    """
    found = [estimate for line in lines for _, estimate in line.points]
    means = [estimate.mean for estimate in found]
    low, high = min(means), max(means)
    if axes.log and low > 0 and high / low > 50:
        return Range(low / 1.5, high * 1.5, True)
    room = max(0.5 * (high - low), 0.02 * max(abs(low), abs(high)), 1e-6)
    low = max(min(e.interval[0] for e in found), low - room, axes.bounds[0])
    high = min(max(e.interval[1] for e in found), high + room, axes.bounds[1])
    margin = 0.04 * (high - low) or room
    return Range(low - margin, high + margin, False)


def horizontal(axes: Axes, lines: Sequence[Line]) -> alt.X:
    """Return the encoding of x, with a tick at each x if they are few."""
    xs = [x for line in lines for x, _ in line.points]
    low, high = min(xs), max(xs)
    # A margin, so that bars and markers at the first and last x are not clipped.
    margin = (0.06 if axes.bars else 0.015) * (high - low) or 0.5
    ticks = sorted(set(xs)) if axes.bars else _whole_ticks(low, high)
    whole = all(float(tick).is_integer() for tick in ticks)
    axis = alt.Axis(values=ticks, format=",d" if whole else ".3~g", labelOverlap=True)
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False)
    return alt.X("x:Q", title=axes.x, scale=scale, axis=axis)


def _whole_ticks(low: float, high: float) -> list[float]:
    """Return at most seven multiples of 1, 2 or 5 times a power of ten."""
    steps = (step * 10**power for power in range(12) for step in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= 6)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(step * count) for count in range(first, last + 1)]


def vertical(field: str, axes: Axes, extent: Range) -> alt.Y:
    """Return the encoding of y by one of the fields of the data."""
    limits = [extent.low, extent.high]
    if extent.log:
        scale = alt.Scale(type="log", domain=limits, nice=False)
        axis = alt.Axis(values=_log_ticks(extent), format="~g")
    else:
        scale = alt.Scale(domain=limits, nice=False, zero=False)
        axis = alt.Axis(tickCount=5, format="%" if axes.share else alt.Undefined)
    return alt.Y(f"{field}:Q", title=axes.y, scale=scale, axis=axis)


def _log_ticks(extent: Range) -> list[float]:
    """Return the powers of ten in the range; if few, also 2 and 5 times them."""
    low, high = math.log10(extent.low), math.log10(extent.high)
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    stride = max(1, round((high - low) / 6))
    powers = range(math.floor(low), math.ceil(high) + 1, stride)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if extent.low <= tick <= extent.high]
