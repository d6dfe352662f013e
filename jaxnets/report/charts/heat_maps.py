"""Heat maps of a quantity over layers or time steps and over training."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import altair as alt

from jaxnets.report.charts import controls
from jaxnets.report.charts.controls import SIZE, Control
from jaxnets.report.charts.figures import Panel, Plot, Spot, left_out_note
from jaxnets.report.charts.specification import rounded, to_specification
from jaxnets.report.charts.style import HEAT, ordered_families
from jaxnets.report.intervals import number
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.records import Record


# More rows of cells would be too thin to be distinguished.
ROWS = 50
# The records of one family, by size and training step, and there by cell: its lowest
# layer or time step, and how many of them the cell covers.
Cells = Mapping[tuple[float, int], Mapping[tuple[float, int], list[Record]]]
# The layers or time steps of a cell, as a Vega expression: `7` or `10 to 11`.
_COVERED = (
    "datum.high - datum.low == 1 ? datum.low + 0.5"
    " : (datum.low + 0.5) + ' to ' + (datum.high - 0.5)"
)
_STROKE = "datum.mean === null ? 'transparent' : scale('color', datum.mean)"
_VALUE = "datum.mean === null ? 'zero or not finite' : format(datum.mean, '.2f')"


class HeatMap(NamedTuple):
    """Heat maps that share axes and one colour scale.

    Attributes:
        study: Name of the study.
        plot: What the figure shows.
        panels: One heat map for each family; never empty.
        rows: The data of each panel, by its title.
        extent: The smallest and the largest value in all panels, over all sizes.
        controls: The choice of the size.
        notes: Sentences on seeds and on values that are not drawn.
    """

    study: str
    plot: Plot
    panels: list[Panel]
    rows: dict[str, list[dict[str, Any]]]
    extent: tuple[float, float]
    controls: list[Control]
    notes: list[str]

    def chart(self, panel: Panel, legend: bool) -> dict[str, Any]:
        """Return the Vega-Lite specification of a panel."""
        colour = _colour(self.plot.axes.y, self.extent, legend)
        chart = (
            alt.Chart(alt.NamedData("rows"), view=alt.ViewBackground(style="empty"))
            .transform_filter(f"datum.size == {SIZE}")
            .transform_flatten(["low", "high", "mean", "seeds"])
            .transform_calculate(covered=_COVERED, value=_VALUE)
            # Strokes close the gaps that renderers leave between cells. If they were
            # encoded, the legend would show symbols instead of a gradient.
            .mark_rect(invalid=None, strokeWidth=0.7, stroke=alt.ExprRef(_STROKE))
            .encode(
                x=_horizontal(),
                y=_vertical(self.plot.axes.x),
                y2="high:Q",
                # An empty cell shows the background.
                color=alt.condition(
                    "datum.mean === null", alt.value("transparent"), colour
                ),
                tooltip=_tooltip(self.plot),
            )
        )
        return to_specification(
            chart, self.rows[panel.title], panel.description, self.controls
        )

    def has_empty(self) -> bool:
        """Return whether there are cells without a finite value."""
        every = (row["mean"] for rows in self.rows.values() for row in rows)
        return any(None in means for means in every)

    def heading(self, panel: Panel) -> str:
        """Return the title of a panel that is exported alone."""
        size = self.controls[0].initial_text()
        return f"{self.plot.title}, {panel.title}, {self.plot.size} {size}"


def make_heat_map(
    study: str, plot: Plot, spots: Iterable[tuple[Record, Spot]], present: set[str]
) -> HeatMap | None:
    """Return the heat maps of `spots`, one a family, or None if no value is finite.

    Args:
        study: Name of the study.
        plot: What the figure shows.
        spots: Records, each with its value on the vertical axis, as `x`.
        present: All families of the study, also those without a record in `spots`.
    """
    found: dict[str, list[tuple[Record, Spot]]] = defaultdict(list)
    for record, spot in spots:
        found[record.family].append((record, spot))
    rows, left_out = {}, set()
    for family in sorted(found, key=ordered_families(study, present).index):
        rows[family] = list(_rows(family, _cells(found[family])))
        if any(not math.isfinite(record.value) for record, _ in found[family]):
            left_out.add(family)
    every = [row for drawn in rows.values() for row in drawn]
    means = _means(every)
    if not means:
        return None
    extent = min(means), max(means)
    panels = [Panel(name, _describe(plot, name, rows[name])) for name in rows]
    choice = controls.size_control(plot.size, (row["size"] for row in every))
    seeds = [count for row in every for count in row["seeds"]]
    notes = [_describe_seeds(seeds), *left_out_note(left_out)]
    return HeatMap(study, plot, panels, rows, extent, [choice], notes)


def _cells(spots: list[tuple[Record, Spot]]) -> Cells:
    """Group the records of a family by size and training step, and there by cell."""
    furthest: dict[float, float] = defaultdict(float)
    for record, spot in spots:
        furthest[record.size] = max(furthest[record.size], spot.x)
    cells = defaultdict(lambda: defaultdict(list))
    for record, spot in spots:
        height = math.ceil((furthest[record.size] + 1) / ROWS)
        low = spot.x // height * height
        cells[record.size, record.step][low, height].append(record)
    return cells


def _rows(family: str, cells: Cells) -> Iterator[dict[str, Any]]:
    """Yield a row of data for each column of cells, whose fields are lists."""
    for (size, step), column in sorted(cells.items()):
        found = [over_seeds(column[cell]) for cell in sorted(column)]
        yield {
            "family": family,
            "size": size,
            "step": step,
            # A layer or time step lies in the middle of its cell.
            "low": [low - 0.5 for low, _ in sorted(column)],
            "high": [low + height - 0.5 for low, height in sorted(column)],
            "mean": [rounded(each.mean, 4) if each else None for each in found],
            "seeds": [each.seeds if each else 0 for each in found],
        }


def _means(rows: list[dict[str, Any]]) -> list[float]:
    """Return the finite values of rows of data."""
    return [mean for row in rows for mean in row["mean"] if mean is not None]


def _horizontal() -> alt.X:
    axis = alt.Axis(labelAngle=0, labelOverlap=True, format=",d", ticks=False)
    return alt.X("step:O", title="updates", axis=axis)


def _vertical(title: str) -> alt.Y:
    scale = alt.Scale(nice=False, zero=False)
    axis = alt.Axis(tickMinStep=1, format=",d", grid=False)
    return alt.Y("low:Q", title=title, scale=scale, axis=axis)


def _colour(title: str, extent: tuple[float, float], legend: bool) -> alt.Color:
    scale = alt.Scale(domain=list(extent), range=list(HEAT), interpolate="rgb")
    key = alt.Legend(title=title, orient="right", gradientLength=200)
    return alt.Color("mean:Q", scale=scale, legend=key if legend else None)


def _tooltip(plot: Plot) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("family:N", title="network"),
        alt.Tooltip("covered:N", title=plot.axes.x),
        alt.Tooltip("step:Q", title="updates", format=",d"),
        alt.Tooltip("value:N", title=plot.axes.y),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]


def _describe_seeds(counts: list[int]) -> str:
    if max(counts) == 1:
        return "Colours: the value of one seed."
    few = "up to " if min(counts) < max(counts) else ""
    return f"Colours: mean of {few}{max(counts)} seeds, on one scale for all panels."


def _describe(plot: Plot, family: str, rows: list[dict[str, Any]]) -> str:
    """Describe a heat map in words, over all sizes."""
    means = _means(rows)
    ends = f"from {number(min(means))} to {number(max(means))}" if means else "empty"
    return (
        f"{plot.title}, {family}. {plot.axes.y} by {plot.axes.x} (upwards) and updates "
        f"(to the right), {ends}."
    )
