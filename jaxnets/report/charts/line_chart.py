"""A chart of lines with their intervals, the same for the page and for export."""

import json
import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from jaxnets.report.charts.axes import (
    THEORY_ROLES,
    Axes,
    Line,
    Range,
    horizontal,
    vertical,
)
from jaxnets.report.charts.specification import rounded, thinned, to_specification
from jaxnets.report.charts.style import DASHES, MARKERS
from jaxnets.report.intervals import interval


# More markers on a line are clutter; more points only make the page larger.
MARKERS_PER_LINE = 10
POINTS_PER_LINE = 100


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
        lines: The lines, with finite means.
        axes: Titles and scales of the axes.
        extent: Vertical range, the same for all panels of a figure.
        families: All families of the study, in the order of their colours.
        description: What the chart shows, for readers who cannot see it.
        legend: Whether the chart has its own legend; the page has one legend for all
            panels of a figure.

    Returns:
        The specification of a layered chart, as wide as its container, with a tooltip
        at each point.
    """
    # The data are named, because Altair would copy rows into every layer.
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=horizontal(axes, lines), y=vertical("mean", axes, extent)
    )
    layers = line_layers(base, lines, axes, extent, families, legend)
    rows = _rows(lines, axes, extent)
    return to_specification(alt.LayerChart(layer=layers), rows, description)


def line_layers(
    base: alt.Chart,
    lines: Sequence[Line],
    axes: Axes,
    extent: Range,
    families: Sequence[str],
    legend: bool,
) -> list[alt.Chart]:
    """Return the layers of a line chart: intervals, lines, markers, tooltips.

    Args:
        base: A chart with its axes, of data with the fields that `line_chart` writes.
        lines: All lines that the chart can show.
        axes: As for `line_chart`.
        extent: As for `line_chart`.
        families: As for `line_chart`.
        legend: As for `line_chart`.
    """
    names = {line.family for line in lines}
    key = _legend([name for name in families if name in names], legend)
    roles = [role for role in dict.fromkeys(line.role for line in lines) if role]
    scale = alt.Scale(domain=list(families))
    base = base.encode(
        color=alt.Color("family:N", scale=scale, legend=key), detail="role:N"
    )
    return [
        _intervals(base, axes, extent),
        _lines(base, roles, legend),
        _markers(base, families, key),
        _hover_points(base, axes, roles),
    ]


def _rows(lines: Sequence[Line], axes: Axes, extent: Range) -> list[dict[str, Any]]:
    rows = []
    for line in lines:
        points = thinned(line.points, POINTS_PER_LINE)
        stride = math.ceil(len(points) / MARKERS_PER_LINE)
        for index, (x, found) in enumerate(points):
            low, high = found.interval
            row = {
                "family": line.family,
                "role": line.role,
                "x": x,
                "mean": rounded(found.mean),
                # Clipped here: a logarithmic axis cannot show a negative end.
                "low": rounded(max(low, extent.low)),
                "high": rounded(min(high, extent.high)),
                "value": interval(found, axes.share),
                "seeds": found.seeds,
                "marked": index % stride == 0 and line.role not in THEORY_ROLES,
            }
            rows.append(row)
    return rows


def _legend(values: list[str], shown: bool, size: int = 110) -> alt.Legend | None:
    if not shown:
        return None
    # Symbols wide enough to show dashes, and opaque although the bands are not.
    return alt.Legend(
        title=None,
        orient="top",
        values=values,
        symbolOpacity=1,
        symbolSize=size,
        symbolStrokeWidth=2,
    )


def _intervals(base: alt.Chart, axes: Axes, extent: Range) -> alt.Chart:
    """Return the intervals over seeds, and theory's bands with dotted edges."""
    intervals = base.encode(y=vertical("low", axes, extent), y2="high:Q")
    if axes.bars:
        return intervals.transform_filter("datum.seeds > 1").mark_rule(
            strokeWidth=1.5, opacity=0.7, clip=True
        )
    is_theory = "datum.seeds == 1"
    return (
        intervals.transform_filter("datum.low < datum.high")
        .mark_area(
            # An encoding of the stroke would change the legend of colours.
            stroke=alt.ExprRef("scale('color', datum.family)"),
            strokeWidth=1,
            strokeDash=[1, 3],
            clip=True,
        )
        .encode(
            fillOpacity=alt.condition(is_theory, alt.value(0.06), alt.value(0.16)),
            strokeOpacity=alt.condition(is_theory, alt.value(0.8), alt.value(0)),
        )
    )


def _lines(base: alt.Chart, roles: list[str], legend: bool) -> alt.Chart:
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


def _hover_points(base: alt.Chart, axes: Axes, roles: list[str]) -> alt.Chart:
    """Return hidden points; the one nearest to the pointer appears with a tooltip."""
    nearest = alt.selection_point(
        name="nearest",
        nearest=True,
        on="pointerover",
        clear="pointerout",
        fields=["x", "family", "role"],
        empty=False,
    )
    fields = {"network": "family", **({"line": "role"} if roles else {})}
    fields |= {axes.x: "x", axes.y: "value", "seeds": "seeds"}
    # An expression, because Vega-Lite 6.4 reads the fields of an encoded tooltip from
    # the Voronoi cell of the nearest point, which holds them one level deeper, and
    # would show `undefined`.
    values = ", ".join(
        f"{json.dumps(title)}: (datum.datum || datum).{field}"
        for title, field in fields.items()
    )
    return (
        base.mark_point(
            size=150, strokeWidth=2, clip=True, tooltip=alt.ExprRef(f"{{{values}}}")
        )
        .encode(opacity=alt.condition(nearest, alt.value(1), alt.value(0)))
        .add_params(nearest)
    )
