"""The lines of a chart and the axes that they are drawn against."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from jaxnets.report.intervals import Estimate


# The roles of a line that experiment and theory both draw.
MEASURED, PREDICTED, REFINED = "measured", "theory", "theory, refined"
# Lines that belong to no seed.
THEORY_ROLES = (PREDICTED, REFINED)


class Line(NamedTuple):
    """One line of a chart.

    Attributes:
        family: Fixes colour and marker.
        role: Fixes the dash, such as `measured`; empty where a chart has one role.
        points: `(x, estimate over seeds)`, by rising x.
    """

    family: str
    role: str
    points: list[tuple[float, Estimate]]


class Axes(NamedTuple):
    """What the axes of a chart say.

    Attributes:
        x: Title of the horizontal axis, with its unit.
        y: Title of the vertical axis, with its unit.
        bounds: The least and greatest value that the quantity can take.
        share: Whether the values are shares, written in per cent.
        log: Whether the vertical axis may become logarithmic, where values span much.
        bars: Whether x takes few values, each with its tick and intervals as bars; the
            others have bands.
    """

    x: str
    y: str
    bounds: tuple[float, float] = (-math.inf, math.inf)
    share: bool = False
    log: bool = False
    bars: bool = False


class Range(NamedTuple):
    """The vertical extent that all panels of a figure share."""

    low: float
    high: float
    log: bool


def vertical_range(lines: Sequence[Line], axes: Axes) -> Range:
    """Return the extent that shows all means, and of the intervals what stays near.

    With three seeds an interval can be many times as wide as what separates the lines;
    past half of the means' own extent it is cut off at the edge of the chart.
    """
    found = [estimate for line in lines for _, estimate in line.points]
    means = [estimate.mean for estimate in found]
    low, high = min(means), max(means)
    if axes.log and low > 0 and high / low > 50:
        return Range(low / 1.5, high * 1.5, True)
    room = max(0.5 * (high - low), 0.02 * max(abs(low), abs(high)), 1e-6)
    low = max(min(estimate.low for estimate in found), low - room, axes.bounds[0])
    high = min(max(estimate.high for estimate in found), high + room, axes.bounds[1])
    margin = 0.04 * (high - low) or room
    return Range(low - margin, high + margin, False)


def horizontal(axes: Axes, lines: Sequence[Line]) -> alt.X:
    """Return the channel of the horizontal axis, with whole ticks where x is many."""
    xs = [x for line in lines for x, _ in line.points]
    low, high = min(xs), max(xs)
    # Few places stand off the edges, so that their bars and markers are seen whole.
    margin = (0.06 if axes.bars else 0.015) * (high - low) or 0.5
    ticks = sorted(set(xs)) if axes.bars else _whole_ticks(low, high)
    whole = all(float(tick).is_integer() for tick in ticks)
    axis = alt.Axis(values=ticks, format=",d" if whole else ".3~g", labelOverlap=True)
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False)
    return alt.X("x:Q", title=axes.x, scale=scale, axis=axis)


def _whole_ticks(low: float, high: float) -> list[float]:
    """Return at most seven whole numbers at even steps of 1, 2 or 5 times ten to n."""
    steps = (step * 10**power for power in range(12) for step in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= 6)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(step * count) for count in range(first, last + 1)]


def vertical(field: str, axes: Axes, extent: Range) -> alt.Y:
    """Return the channel of the vertical axis, for one of the rows' fields."""
    limits = [extent.low, extent.high]
    if extent.log:
        scale = alt.Scale(type="log", domain=limits, nice=False)
        axis = alt.Axis(values=_log_ticks(extent), format="~g")
    else:
        scale = alt.Scale(domain=limits, nice=False, zero=False)
        axis = alt.Axis(tickCount=5, format="%" if axes.share else alt.Undefined)
    return alt.Y(f"{field}:Q", title=axes.y, scale=scale, axis=axis)


def _log_ticks(extent: Range) -> list[float]:
    """Return the powers of ten inside, and 2 and 5 times those where they are few."""
    low, high = math.log10(extent.low), math.log10(extent.high)
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    stride = max(1, round((high - low) / 6))
    powers = range(math.floor(low), math.ceil(high) + 1, stride)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if extent.low <= tick <= extent.high]
