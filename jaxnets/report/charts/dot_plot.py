"""Dot plots: a row for each layer or parameter array, under its own name."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import altair as alt

from jaxnets.report.charts.figures import Panel, Plot, Spot
from jaxnets.report.charts.lines import with_title
from jaxnets.report.charts.specification import rounded, thinned, to_specification
from jaxnets.report.charts.style import DASHES, MARKERS, ordered_families
from jaxnets.report.intervals import describe_intervals, interval, number
from jaxnets.runs.estimates import Estimate, over_seeds
from jaxnets.runs.records import Record


# More rows would make a chart that nobody reads to its end.
MOST_ROWS = 40
ROW_HEIGHT = 18
# What the horizontal axis and its title need.
AXIS_HEIGHT = 60
LABEL_WIDTH = 170


class DotPlot(NamedTuple):
    """Charts with a row for each name.

    Attributes:
        study: Name of the study.
        plot: What the figure shows; `axes.y` is the title of the horizontal axis, on
            which the values are.
        panels: Its charts; never empty.
        rows: The data of each panel, by its description.
        families: All families, in the order of their colours.
        notes: Sentences on intervals and on values that are not drawn.
    """

    study: str
    plot: Plot
    panels: list[Panel]
    rows: dict[str, list[dict[str, Any]]]
    families: list[str]
    notes: list[str]

    def chart(self, panel: Panel, legend: bool) -> dict[str, Any]:
        """Return the Vega-Lite specification of a panel."""
        rows = self.rows[panel.description]
        names = list(dict.fromkeys(row["name"] for row in rows))
        base = alt.Chart(alt.NamedData("rows")).encode(
            y=_names(names), color=self._colour(rows, legend), detail="role:N"
        )
        layers = [
            base.transform_filter("datum.low < datum.high")
            .mark_rule(strokeWidth=1.5, opacity=0.5, clip=True)
            .encode(x=self._values("low"), x2="high:Q"),
            *([self._lines(base)] if self.plot.kind == "profile" else []),
            self._markers(base),
        ]
        drawn = to_specification(alt.LayerChart(layer=layers), rows, panel.description)
        return {**drawn, "height": AXIS_HEIGHT + ROW_HEIGHT * len(names)}

    def heading(self, panel: Panel) -> str:
        """Return the title of a panel that is exported alone."""
        return with_title(self.plot.title, panel.title)

    def drawn(self) -> list[tuple[int, str]]:
        """Return the families in the figure, each as `(index of its colour, name)`."""
        seen = {row["family"] for rows in self.rows.values() for row in rows}
        return [(i, name) for i, name in enumerate(self.families) if name in seen]

    def roles(self) -> list[str]:
        """Return the roles in the figure, in the order of their dashes."""
        seen = [row["role"] for rows in self.rows.values() for row in rows]
        return [role for role in dict.fromkeys(seen) if role]

    def _values(self, field: str) -> alt.X:
        """Return the encoding of the values, on one scale for all panels."""
        rows = [row for drawn in self.rows.values() for row in drawn]
        means = [row["mean"] for row in rows]
        # An interval that is much wider than all means is clipped.
        room = 0.5 * (max(means) - min(means)) or 0.5
        low = max(min(row["low"] for row in rows), min(means) - room)
        high = min(max(row["high"] for row in rows), max(means) + room)
        margin = 0.03 * (high - low) or 0.1
        limits = [0, 1] if self.plot.axes.share else [low - margin, high + margin]
        axis = alt.Axis(
            tickCount=5, format="%" if self.plot.axes.share else alt.Undefined
        )
        scale = alt.Scale(domain=limits, nice=False, zero=False)
        return alt.X(f"{field}:Q", title=self.plot.axes.y, scale=scale, axis=axis)

    def _colour(self, rows: list[dict[str, Any]], legend: bool) -> alt.Color:
        seen = {row["family"] for row in rows}
        values = [name for name in self.families if name in seen]
        key = alt.Legend(title=None, orient="top", values=values) if legend else None
        return alt.Color("family:N", scale=alt.Scale(domain=self.families), legend=key)

    def _lines(self, base: alt.Chart) -> alt.Chart:
        """Join the dots of a line from row to row."""
        lines = base.mark_line(strokeWidth=1.5, opacity=0.7).encode(
            x=self._values("mean"), order="index:Q"
        )
        if not self.roles():
            return lines
        dashes = [list(dash) for dash in DASHES[: len(self.roles())]]
        scale = alt.Scale(domain=self.roles(), range=dashes)
        return lines.encode(
            strokeDash=alt.StrokeDash("role:N", scale=scale, legend=None)
        )

    def _markers(self, base: alt.Chart) -> alt.Chart:
        shapes = [MARKERS[n % len(MARKERS)] for n in range(len(self.families))]
        scale = alt.Scale(domain=self.families, range=shapes)
        return base.mark_point(filled=True, size=46, opacity=1).encode(
            x=self._values("mean"),
            shape=alt.Shape("family:N", scale=scale, legend=None),
            tooltip=[
                alt.Tooltip("family:N", title="line"),
                *([alt.Tooltip("role:N", title="when")] if self.roles() else []),
                alt.Tooltip("name:N", title=self.plot.axes.x),
                alt.Tooltip("value:N", title=self.plot.axes.y),
            ],
        )


def make_dot_plot(
    study: str, plot: Plot, spots: Iterable[tuple[Record, Spot]], present: set[str]
) -> DotPlot | None:
    """Return the dot plot of `spots`, or None if no value is finite.

    The place of a record is the name of its row, and the `x` of its spot is the order
    of the row. Panels and roles keep the order of the spots.

    Args:
        study: Name of the study.
        plot: What the figure shows.
        spots: Records, each with where it is drawn.
        present: All families, also those without a record in `spots`.
    """
    panels: defaultdict[str, list[tuple[Record, Spot]]] = defaultdict(list)
    for record, spot in spots:
        panels[spot.panel].append((record, spot))
    charts, rows, left_out, hidden = [], {}, {}, 0
    for title, found in panels.items():
        names = _ordered_names(found)
        shown = thinned(names, MOST_ROWS)
        hidden += len(names) - len(shown)
        drawn, empty = _rows(found, shown, plot)
        left_out |= dict.fromkeys(empty)
        if drawn:
            charts.append(Panel(title, _describe(plot, title, drawn)))
            rows[charts[-1].description] = drawn
    if not rows:
        return None
    seeds = [row["seeds"] for drawn in rows.values() for row in drawn]
    notes = [describe_intervals(seeds, "Bars").replace("Lines", "Dots")]
    if hidden:
        notes.append(f"{hidden} rows between those shown are left out.")
    if left_out:
        names = ", ".join(list(left_out)[:MOST_ROWS])
        notes.append(f"Exactly zero or not finite, so not drawn: {names}.")
    families = ordered_families(study, present)
    return DotPlot(study, plot, charts, rows, families, notes)


def _ordered_names(spots: Sequence[tuple[Record, Spot]]) -> list[str]:
    order: dict[str, float] = {}
    for record, spot in spots:
        order.setdefault(record.place, spot.x)
    return sorted(order, key=lambda name: order[name])


def _rows(
    spots: Sequence[tuple[Record, Spot]], names: Sequence[str], plot: Plot
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the data of a panel, and the names that have a value that is not drawn."""
    groups: defaultdict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record, spot in spots:
        groups[record.family, spot.role, record.place].append(record)
    rows, empty = [], []
    for index, name in enumerate(names):
        for (family, role, place), records in groups.items():
            if place != name:
                continue
            if not all(math.isfinite(record.value) for record in records):
                empty.append(f"{family}, {name}")
            if found := over_seeds(records):
                found = found.within(plot.axes.bounds)
                rows.append(_row(family, role, name, index, found, plot))
    return rows, empty


def _row(
    family: str, role: str, name: str, index: int, found: Estimate, plot: Plot
) -> dict[str, Any]:
    low, high = found.interval
    return {
        "family": family,
        "role": role,
        "name": name,
        "index": index,
        "mean": rounded(found.mean),
        "low": rounded(low),
        "high": rounded(high),
        "value": interval(found, plot.axes.share),
        "seeds": found.seeds,
    }


def _names(names: list[str]) -> alt.Y:
    # A mark at the left end would touch the label.
    axis = alt.Axis(
        labelLimit=LABEL_WIDTH, labelPadding=8, domain=False, ticks=False, grid=True
    )
    return alt.Y("name:N", sort=names, title=None, axis=axis)


def _describe(plot: Plot, title: str, rows: list[dict[str, Any]]) -> str:
    """Describe a panel in words: the smallest and the largest value of each family."""
    heading = with_title(plot.title, title)
    parts = []
    for family in dict.fromkeys(row["family"] for row in rows):
        of_family = [row for row in rows if row["family"] == family]
        least, most = (
            choose(of_family, key=lambda row: row["mean"]) for choose in (min, max)
        )
        parts.append(
            f"{family}: from {number(least['mean'])} at {least['name']} to "
            f"{number(most['mean'])} at {most['name']}"
        )
    return f"{heading}. {plot.axes.y}. {'; '.join(parts)}."
