"""One chart: lines with their intervals, described once for page and export."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from jaxnets.report.intervals import Estimate, interval
from jaxnets.report.style import DASHES, MARKERS


HEIGHT = 250
# More markers than this on one line are clutter, more points only make a larger page.
MARKERS_PER_LINE = 10
POINTS_PER_LINE = 100
# The roles of a line that experiment and theory both draw.
MEASURED, PREDICTED = "measured", "theory"


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


def line_chart(
    lines: Sequence[Line],
    axes: Axes,
    extent: Range,
    families: Sequence[str],
    description: str,
    legend: bool,
) -> dict[str, Any]:
    """Return the Vega-Lite specification of the chart of `lines`.

    Args:
        lines: What to draw, with finite means.
        axes: What the axes say.
        extent: Vertical extent, the same for all panels of a figure.
        families: All families of the study, in the order that fixes their colours.
        description: What the chart shows, for those who cannot see it.
        legend: Whether the chart has its own legend; the page writes one for all
            panels of a figure.

    Returns:
        A layered chart as wide as its container, with a tooltip at each point. It is
        not validated here, which would take most of the time of a report; the tests do.
    """
    names = {line.family for line in lines}
    drawn = [name for name in families if name in names]
    roles = [role for role in dict.fromkeys(line.role for line in lines) if role]
    # By name, so that Altair does not copy the rows with every layer.
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=_x(axes, lines),
        y=_y("mean", axes, extent),
        color=alt.Color(
            "family:N",
            scale=alt.Scale(domain=list(families)),
            legend=_legend(drawn, legend),
        ),
        detail="role:N",
    )
    layers = [
        _spread(base, axes, extent),
        _strokes(base, roles, legend),
        _markers(base, families, _legend(drawn, legend)),
        _hover(base, axes, roles),
    ]
    chart = alt.LayerChart(
        layer=layers,
        width="container",
        height=HEIGHT,
        description=description,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )
    rows = _rows(lines, axes, extent)
    return {**chart.to_dict(validate=False), "datasets": {"rows": rows}}


def _rows(lines: Sequence[Line], axes: Axes, extent: Range) -> list[dict[str, Any]]:
    rows = []
    for line in lines:
        points = _thinned(line.points)
        stride = math.ceil(len(points) / MARKERS_PER_LINE)
        for index, (x, found) in enumerate(points):
            row = {
                "family": line.family,
                "role": line.role,
                "x": x,
                "mean": _short(found.mean),
                # Cut here, because a logarithmic axis has no place for a negative end.
                "low": _short(max(found.low, extent.low)),
                "high": _short(min(found.high, extent.high)),
                "value": interval(found, axes.share),
                "seeds": found.seeds,
                "marked": index % stride == 0 and line.role != PREDICTED,
            }
            rows.append(row)
    return rows


def _thinned(points: list[tuple[float, Estimate]]) -> list[tuple[float, Estimate]]:
    """Return every so many points, and the last."""
    stride = math.ceil(len(points) / POINTS_PER_LINE)
    last = len(points) - 1
    return [
        point
        for index, point in enumerate(points)
        if index == last or (index % stride == 0 and last - index >= stride / 2)
    ]


def _short(value: float) -> float:
    """Round to what a chart can show, which keeps the page small."""
    return float(f"{value:.5g}")


def _x(axes: Axes, lines: Sequence[Line]) -> alt.X:
    xs = [x for line in lines for x, _ in line.points]
    low, high = min(xs), max(xs)
    # Few places stand off the edges, so that their bars and markers are seen whole.
    margin = (0.06 if axes.bars else 0.015) * (high - low) or 0.5
    ticks = sorted(set(xs)) if axes.bars else _whole_ticks(low, high)
    axis = alt.Axis(values=ticks, format=",d", labelOverlap=True)
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False)
    return alt.X("x:Q", title=axes.x, scale=scale, axis=axis)


def _whole_ticks(low: float, high: float) -> list[float]:
    """Return at most seven whole numbers at even steps of 1, 2 or 5 times ten to n."""
    steps = (step * 10**power for power in range(12) for step in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= 6)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(step * count) for count in range(first, last + 1)]


def _y(field: str, axes: Axes, extent: Range) -> alt.Y:
    limits = [extent.low, extent.high]
    if extent.log:
        scale = alt.Scale(type="log", domain=limits, nice=False)
        axis = alt.Axis(values=_log_ticks(extent), format="~g")
    else:
        scale = alt.Scale(domain=limits, nice=False, zero=False)
        axis = alt.Axis(tickCount=5, format=".0%" if axes.share else alt.Undefined)
    return alt.Y(f"{field}:Q", title=axes.y, scale=scale, axis=axis)


def _log_ticks(extent: Range) -> list[float]:
    """Return the powers of ten inside, and 2 and 5 times those where they are few."""
    low, high = math.log10(extent.low), math.log10(extent.high)
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    stride = max(1, round((high - low) / 6))
    powers = range(math.floor(low), math.ceil(high) + 1, stride)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if extent.low <= tick <= extent.high]


def _legend(values: list[str], shown: bool, size: int = 110) -> alt.Legend | None:
    if not shown:
        return None
    # Wide enough to show dashes, and not as pale as the bands.
    return alt.Legend(
        title=None,
        orient="top",
        values=values,
        symbolOpacity=1,
        symbolSize=size,
        symbolStrokeWidth=2,
    )


def _spread(base: alt.Chart, axes: Axes, extent: Range) -> alt.Chart:
    """Return the intervals, where there is more than one seed."""
    spread = base.transform_filter("datum.seeds > 1").encode(
        y=_y("low", axes, extent), y2="high:Q"
    )
    if axes.bars:
        return spread.mark_rule(strokeWidth=1.5, opacity=0.7, clip=True)
    return spread.mark_area(opacity=0.16, clip=True)


def _strokes(base: alt.Chart, roles: list[str], legend: bool) -> alt.Chart:
    lines = base.mark_line(strokeWidth=2, clip=True)
    if not roles:
        return lines
    dashes = [list(dash) for dash in DASHES[: len(roles)]]
    scale = alt.Scale(domain=roles, range=dashes)
    return lines.encode(
        strokeDash=alt.StrokeDash(
            "role:N",
            scale=scale,
            legend=_legend(roles, legend and len(roles) > 1, size=500),
        )
    )


def _markers(
    base: alt.Chart, families: Sequence[str], legend: alt.Legend | None
) -> alt.Chart:
    shapes = [MARKERS[index % len(MARKERS)] for index in range(len(families))]
    scale = alt.Scale(domain=list(families), range=shapes)
    return (
        base.transform_filter("datum.marked")
        .mark_point(filled=True, size=46, opacity=1, clip=True)
        .encode(shape=alt.Shape("family:N", scale=scale, legend=legend))
    )


def _hover(base: alt.Chart, axes: Axes, roles: list[str]) -> alt.Chart:
    """Invisible points: the one nearest to the pointer shows itself and its values."""
    nearest = alt.selection_point(
        name="nearest",
        nearest=True,
        on="pointerover",
        clear="pointerout",
        fields=["x", "family", "role"],
        empty=False,
    )
    told = {"network": "family", **({"line": "role"} if roles else {})}
    told |= {axes.x: "x", axes.y: "value", "seeds": "seeds"}
    # An expression, because Vega-Lite 6.4 looks for a tooltip's texts in the cell of
    # the nearest point, where they lie one level deeper, and would show `undefined`.
    values = ", ".join(
        f"{json.dumps(title)}: (datum.datum || datum).{field}"
        for title, field in told.items()
    )
    return (
        base.mark_point(
            size=150, strokeWidth=2, clip=True, tooltip=alt.ExprRef(f"{{{values}}}")
        )
        .encode(opacity=alt.condition(nearest, alt.value(1), alt.value(0)))
        .add_params(nearest)
    )
