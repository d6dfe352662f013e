"""One chart: lines with their intervals, described once for page and export."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from jaxnets.report.intervals import Estimate, interval, number, percent
from jaxnets.report.style import DASHES, MARKERS


HEIGHT = 250
# More markers than this on one line are clutter.
MARKERS_PER_LINE = 10


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
) -> alt.LayerChart:
    """Return the chart of `lines`.

    Args:
        lines: What to draw, with finite means.
        axes: What the axes say.
        extent: Vertical extent, the same for all panels of a figure.
        families: All families of the study, in the order that fixes their colours.
        description: What the chart shows, for those who cannot see it.

    Returns:
        A layered Altair chart as wide as its container, with a tooltip at each point.
    """
    drawn = {line.family for line in lines}
    roles = list(dict.fromkeys(line.role for line in lines))
    base = alt.Chart(alt.Data(values=_rows(lines, axes, extent))).encode(
        x=_x(axes, lines),
        color=alt.Color(
            "family:N",
            scale=alt.Scale(domain=list(families)),
            legend=_legend([name for name in families if name in drawn]),
        ),
    )
    if any(roles):
        base = base.encode(
            strokeDash=alt.StrokeDash(
                "role:N",
                scale=alt.Scale(
                    domain=roles, range=[list(dash) for dash in DASHES[: len(roles)]]
                ),
                legend=_legend(roles),
            )
        )
    mean = _y("mean", axes, extent)
    spread = base.transform_filter("datum.seeds > 1").encode(
        y=_y("low", axes, extent), y2="high:Q"
    )
    if axes.bars:
        spread = spread.mark_rule(strokeWidth=1.5, opacity=0.7, clip=True)
    else:
        spread = spread.mark_area(opacity=0.16, clip=True)
        spread = spread.encode(detail="role:N", strokeDash=alt.value([1, 0]))
    return alt.layer(
        spread,
        base.mark_line(strokeWidth=2, clip=True).encode(y=mean),
        _markers(base, families, drawn).encode(y=mean),
        _hover(base, axes, roles).encode(y=mean),
    ).properties(
        width="container",
        height=HEIGHT,
        description=description,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )


def _rows(lines: Sequence[Line], axes: Axes, extent: Range) -> list[dict[str, Any]]:
    write = percent if axes.share else number
    return [
        {
            "family": line.family,
            "role": line.role,
            "x": x,
            "mean": _short(found.mean),
            # Cut here, because a logarithmic axis has no place for a negative end.
            "low": _short(max(found.low, extent.low)),
            "high": _short(min(found.high, extent.high)),
            "value": interval(found, write),
            "seeds": found.seeds,
            "marked": index % math.ceil(len(line.points) / MARKERS_PER_LINE) == 0,
        }
        for line in lines
        for index, (x, found) in enumerate(line.points)
    ]


def _short(value: float) -> float:
    """Round to what a chart can show, which keeps the page small."""
    return float(f"{value:.5g}")


def _x(axes: Axes, lines: Sequence[Line]) -> alt.X:
    xs = [x for line in lines for x, _ in line.points]
    low, high = min(xs), max(xs)
    # Few places stand off the edges, so that their bars and markers are seen whole.
    margin = (0.06 if axes.bars else 0.015) * (high - low) or 0.5
    ticks = sorted(set(xs))
    axis = alt.Axis(values=ticks) if axes.bars else alt.Axis(tickMinStep=1)
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False)
    return alt.X("x:Q", title=axes.x, scale=scale, axis=axis)


def _y(field: str, axes: Axes, extent: Range) -> alt.Y:
    scale = alt.Scale(
        type="log" if extent.log else "linear",
        domain=[extent.low, extent.high],
        nice=False,
        zero=False,
    )
    axis = alt.Axis(tickCount=5, format=".0%") if axes.share else alt.Axis(tickCount=5)
    return alt.Y(f"{field}:Q", title=axes.y, scale=scale, axis=axis)


def _legend(values: list[str]) -> alt.Legend:
    """A legend above the chart; the page hides it and writes its own."""
    return alt.Legend(title=None, orient="top", values=values, symbolType="stroke")


def _markers(base: alt.Chart, families: Sequence[str], drawn: set[str]) -> alt.Chart:
    shapes = [MARKERS[index % len(MARKERS)] for index in range(len(families))]
    return (
        base.transform_filter("datum.marked")
        .mark_point(filled=True, size=46, opacity=1, clip=True)
        .encode(
            shape=alt.Shape(
                "family:N",
                scale=alt.Scale(domain=list(families), range=shapes),
                legend=_legend([name for name in families if name in drawn]),
            ),
            strokeDash=alt.value([1, 0]),
        )
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
    lines = [alt.Tooltip("family:N", title="network")]
    if any(roles):
        lines.append(alt.Tooltip("role:N", title="line"))
    lines += [
        alt.Tooltip("x:Q", title=axes.x),
        alt.Tooltip("value:N", title=axes.y),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]
    return (
        base.mark_point(size=150, strokeWidth=2, clip=True)
        .encode(
            opacity=alt.condition(nearest, alt.value(1), alt.value(0)),
            tooltip=lines,
            strokeDash=alt.value([1, 0]),
        )
        .add_params(nearest)
    )
