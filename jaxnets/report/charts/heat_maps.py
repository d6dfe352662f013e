"""Maps of a quantity over layer or time step and training step, by colour."""

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
from jaxnets.report.intervals import number, over_seeds
from jaxnets.runs.records import Record


# More rows of cells than this are too thin to be told apart.
ROWS = 50
# Of one family: for each size and step, the records of each cell by its lowest place
# and how many places it has.
Cells = Mapping[tuple[float, int], Mapping[tuple[float, int], list[Record]]]
# The places of a cell in words, as a Vega expression: `7`, or `10 to 11`.
_PLACE = (
    "datum.high - datum.low == 1 ? datum.low + 0.5"
    " : (datum.low + 0.5) + ' to ' + (datum.high - 0.5)"
)
_SEAM = "datum.mean === null ? 'transparent' : scale('color', datum.mean)"
_VALUE = "datum.mean === null ? 'zero or not finite' : format(datum.mean, '.2f')"


class HeatMap(NamedTuple):
    """Maps that share axes and one scale of colours.

    Attributes:
        study: The study it belongs to.
        plot: What it shows.
        panels: One map a family; never empty.
        rows: The cells of each panel, by its title.
        extent: The least and the greatest value of all of them, at all sizes.
        controls: The choice of the size.
        notes: Sentences on seeds and what was left out.
    """

    study: str
    plot: Plot
    panels: list[Panel]
    rows: dict[str, list[dict[str, Any]]]
    extent: tuple[float, float]
    controls: list[Control]
    notes: list[str]

    def chart(self, panel: Panel, legend: bool) -> dict[str, Any]:
        """Return the specification of the map of one of its panels."""
        colour = _colour(self.plot.axes.y, self.extent, legend)
        chart = (
            alt.Chart(alt.NamedData("rows"), view=alt.ViewBackground(style="empty"))
            .transform_filter(f"datum.size == {SIZE}")
            .transform_flatten(["low", "high", "mean", "seeds"])
            .transform_calculate(place=_PLACE, value=_VALUE)
            # Strokes close the seams that renderers leave between cells. An encoding of
            # them would turn the legend into one of symbols.
            .mark_rect(invalid=None, strokeWidth=0.7, stroke=alt.ExprRef(_SEAM))
            .encode(
                x=alt.X("step:O", title="updates", axis=_sparse()),
                y=_place(self.plot.axes.x),
                y2="high:Q",
                # An empty cell shows the background.
                color=alt.condition(
                    "datum.mean === null", alt.value("transparent"), colour
                ),
                tooltip=_told(self.plot),
            )
        )
        return to_specification(
            chart, self.rows[panel.title], panel.description, self.controls
        )

    def has_empty(self) -> bool:
        """Return whether it has cells without any finite value."""
        every = (row["mean"] for rows in self.rows.values() for row in rows)
        return any(None in means for means in every)

    def heading(self, panel: Panel) -> str:
        """Return the heading of a panel that stands alone."""
        size = self.controls[0].text()
        return f"{self.plot.title}, {panel.title}, {self.plot.size} {size}"


def make_heat_map(
    study: str, plot: Plot, spots: Iterable[tuple[Record, Spot]], present: set[str]
) -> HeatMap | None:
    """Draw `spots` as a map for each family, or None where nothing is finite.

    Args:
        study: The study they belong to.
        plot: What the figure shows.
        spots: Each record with its place along the vertical axis.
        present: All families of the study, also those that this figure lacks.
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
    choice = controls.sizes(plot.size, (row["size"] for row in every))
    seeds = [count for row in every for count in row["seeds"]]
    notes = [_describe_seeds(seeds), *left_out_note(left_out)]
    return HeatMap(study, plot, panels, rows, extent, [choice], notes)


def _cells(spots: list[tuple[Record, Spot]]) -> Cells:
    """Group the records of a family by size and step, and within them by row."""
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
    """Yield a row for each column of cells, with a list for what its cells hold."""
    for (size, step), column in sorted(cells.items()):
        found = [over_seeds(column[cell]) for cell in sorted(column)]
        yield {
            "family": family,
            "size": size,
            "step": step,
            # A place is in the middle of its cell.
            "low": [low - 0.5 for low, _ in sorted(column)],
            "high": [low + height - 0.5 for low, height in sorted(column)],
            "mean": [rounded(each.mean, 4) if each.seeds else None for each in found],
            "seeds": [each.seeds for each in found],
        }


def _means(rows: list[dict[str, Any]]) -> list[float]:
    """Return the finite values of some rows."""
    return [mean for row in rows for mean in row["mean"] if mean is not None]


def _sparse() -> alt.Axis:
    return alt.Axis(labelAngle=0, labelOverlap=True, format=",d", ticks=False)


def _place(title: str) -> alt.Y:
    scale = alt.Scale(nice=False, zero=False)
    axis = alt.Axis(tickMinStep=1, format=",d", grid=False)
    return alt.Y("low:Q", title=title, scale=scale, axis=axis)


def _colour(title: str, extent: tuple[float, float], legend: bool) -> alt.Color:
    scale = alt.Scale(domain=list(extent), range=list(HEAT), interpolate="rgb")
    key = alt.Legend(title=title, orient="right", gradientLength=200)
    return alt.Color("mean:Q", scale=scale, legend=key if legend else None)


def _told(plot: Plot) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("family:N", title="network"),
        alt.Tooltip("place:N", title=plot.axes.x),
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
    """Say in words what a map shows, at all sizes."""
    means = _means(rows)
    ends = f"from {number(min(means))} to {number(max(means))}" if means else "empty"
    return (
        f"{plot.title}, {family}. {plot.axes.y} by {plot.axes.x} (upwards) and updates "
        f"(to the right), {ends}."
    )
