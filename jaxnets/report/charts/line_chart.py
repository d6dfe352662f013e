"""One chart: lines with their intervals, described once for page and export."""

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


# More markers than this on one line are clutter, more points only make a larger page.
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
    # By name, so that Altair does not copy the rows with every layer.
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
    """Return intervals, strokes, markers and what hovering shows, over `base`.

    Args:
        base: A chart with its axes, of rows like those of `line_chart`.
        lines: All lines that it can show.
        axes: As for `line_chart`, like the others.
        extent: Vertical extent.
        families: All families of the study.
        legend: Whether there is a legend.
    """
    names = {line.family for line in lines}
    key = _legend([name for name in families if name in names], legend)
    roles = [role for role in dict.fromkeys(line.role for line in lines) if role]
    scale = alt.Scale(domain=list(families))
    base = base.encode(
        color=alt.Color("family:N", scale=scale, legend=key), detail="role:N"
    )
    return [
        _spread(base, axes, extent),
        _strokes(base, roles, legend),
        _markers(base, families, key),
        _hover(base, axes, roles),
    ]


def _rows(lines: Sequence[Line], axes: Axes, extent: Range) -> list[dict[str, Any]]:
    rows = []
    for line in lines:
        points = thinned(line.points, POINTS_PER_LINE)
        stride = math.ceil(len(points) / MARKERS_PER_LINE)
        for index, (x, found) in enumerate(points):
            row = {
                "family": line.family,
                "role": line.role,
                "x": x,
                "mean": rounded(found.mean),
                # Cut here, because a logarithmic axis has no place for a negative end.
                "low": rounded(max(found.low, extent.low)),
                "high": rounded(min(found.high, extent.high)),
                "value": interval(found, axes.share),
                "seeds": found.seeds,
                "marked": index % stride == 0 and line.role not in THEORY_ROLES,
            }
            rows.append(row)
    return rows


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
    """Return the intervals over seeds, and the bands of theory, which are outlined."""
    spread = base.encode(y=vertical("low", axes, extent), y2="high:Q")
    if axes.bars:
        return spread.transform_filter("datum.seeds > 1").mark_rule(
            strokeWidth=1.5, opacity=0.7, clip=True
        )
    of_theory = "datum.seeds == 1"
    return (
        spread.transform_filter("datum.low < datum.high")
        .mark_area(
            # An encoding of the stroke would change the legend of the colours.
            stroke=alt.ExprRef("scale('color', datum.family)"),
            strokeWidth=1,
            strokeDash=[1, 3],
            clip=True,
        )
        .encode(
            fillOpacity=alt.condition(of_theory, alt.value(0.06), alt.value(0.16)),
            strokeOpacity=alt.condition(of_theory, alt.value(0.8), alt.value(0)),
        )
    )


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
