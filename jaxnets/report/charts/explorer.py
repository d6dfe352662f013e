"""A chart over layers or time steps, at the size and step that the reader chooses."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import altair as alt

from jaxnets.report.charts import controls
from jaxnets.report.charts.axes import (
    THEORY_ROLES,
    Line,
    Range,
    vertical,
    vertical_range,
)
from jaxnets.report.charts.controls import FAMILIES, SIZE, STEP, Control
from jaxnets.report.charts.figures import Panel, Plot, Spot, left_out_note
from jaxnets.report.charts.line_chart import MARKERS_PER_LINE, line_layers
from jaxnets.report.charts.lines import make_line
from jaxnets.report.charts.specification import rounded, thinned, to_specification
from jaxnets.report.charts.style import ordered_families
from jaxnets.report.intervals import describe_intervals, number
from jaxnets.runs.records import Record


# Fewer points than in other charts, because there is a line for each size and step.
POINTS = 60
# What distinguishes lines: family, role, size and step.
Key = tuple[str, str, float, int]
_CHOSEN = (
    f"datum.size == {SIZE} && datum.step == {STEP}"
    f" && indexof({FAMILIES}, datum.family) >= 0"
)
_MARKED = "datum.every > 0 && datum.x % datum.every == 0"
_INTERVAL = (
    "format(datum.mean, '.2f') + (datum.seeds > 1 ?"
    " ' (' + format(datum.low, '.2f') + ' to ' + format(datum.high, '.2f') + ')' : '')"
)


class Explorer(NamedTuple):
    """One chart of lines, of which the reader chooses some.

    Attributes:
        study: Name of the study.
        plot: What the figure shows.
        panels: The single chart.
        lines: All lines, by family, role, size and step.
        extent: The vertical range of all lines, so that choices can be compared.
        families: All families of the study, in the order of their colours.
        controls: The choices of networks, size and training step.
        notes: Sentences on intervals and on values that are not drawn.
    """

    study: str
    plot: Plot
    panels: list[Panel]
    lines: dict[Key, Line]
    extent: Range
    families: list[str]
    controls: list[Control]
    notes: list[str]

    def chart(self, panel: Panel, legend: bool) -> dict[str, Any]:
        """Return the Vega-Lite specification of the chart."""
        axes = self.plot.axes
        base = alt.Chart(alt.NamedData("rows")).encode(
            x=_horizontal(axes.x), y=vertical("mean", axes, self.extent)
        )
        lines = list(self.lines.values())
        layers = line_layers(base, lines, axes, self.extent, self.families, legend)
        chart = (
            alt.LayerChart(layer=layers)
            .transform_filter(_CHOSEN)
            .transform_flatten(["x", "mean", "low", "high", "seeds"])
            .transform_calculate(marked=_MARKED, value=_INTERVAL)
        )
        rows = [_row(key, line) for key, line in self.lines.items()]
        return to_specification(chart, rows, panel.description, self.controls)

    def heading(self, panel: Panel) -> str:
        """Return the title of the chart when it is exported alone."""
        del panel
        _, size, step = self.controls
        chosen = f"{self.plot.size} {size.initial_text()}, {step.initial_text()}"
        return f"{self.plot.title}, {chosen}"

    def drawn(self) -> list[tuple[int, str]]:
        """Return the families in the figure, each as `(index of its colour, name)`."""
        seen = {family for family, *_ in self.lines}
        return [(i, name) for i, name in enumerate(self.families) if name in seen]

    def roles(self) -> list[str]:
        """Return the roles in the figure, in the order of their dashes."""
        return list(dict.fromkeys(role for _, role, *_ in self.lines))


def make_explorer(
    study: str, plot: Plot, spots: Iterable[tuple[Record, Spot]], present: set[str]
) -> Explorer | None:
    """Return the explorer of `spots`, or None if no value is finite.

    Args:
        study: Name of the study.
        plot: What the figure shows.
        spots: Records, each with its x and its role.
        present: All families of the study, also those without a record in `spots`.
    """
    families = ordered_families(study, present)
    lines: dict[Key, Line] = {}
    left_out = set()
    groups = _grouped(spots)
    order = list(dict.fromkeys(role for _, role, *_ in groups))
    for key in sorted(groups, key=lambda k: (order.index(k[1]), families.index(k[0]))):
        family, role, size, _ = key
        kept = thinned(sorted(groups[key]), POINTS)
        drawn = make_line(family, role, {x: groups[key][x] for x in kept})
        if len(drawn.points) < len(kept):
            left_out.add(f"{family}, {plot.size} {size:g}")
        if drawn.points:
            lines[key] = drawn
    if not lines:
        return None
    measured = [found for found in lines.values() if found.role not in THEORY_ROLES]
    seeds = [point.seeds for found in measured for _, point in found.points]
    names = [name for name in families if name in {family for family, *_ in lines}]
    choices = [
        controls.family_control(names),
        controls.size_control(plot.size, (size for *_, size, _ in lines)),
        controls.step_control(step for *_, step in lines),
    ]
    extent = vertical_range(list(lines.values()), plot.axes)
    notes = [describe_intervals(seeds, "Bands"), *left_out_note(left_out)]
    panel = Panel("", _describe(plot, list(lines.values())))
    return Explorer(study, plot, [panel], lines, extent, families, choices, notes)


def _grouped(
    spots: Iterable[tuple[Record, Spot]],
) -> Mapping[Key, Mapping[float, list[Record]]]:
    """Group records by line, and within them by x."""
    groups = defaultdict(lambda: defaultdict(list))
    for record, spot in spots:
        key = record.family, spot.role, record.size, record.step
        groups[key][spot.x].append(record)
    return groups


def _row(key: Key, line: Line) -> dict[str, Any]:
    """Return a line as one row of data; the fields of its points are lists."""
    family, role, size, step = key
    xs, found = zip(*line.points, strict=True)
    spacing = xs[1] - xs[0] if len(xs) > 1 else 1
    return {
        "family": family,
        "role": role,
        "size": size,
        "step": step,
        # Distance between markers; 0 means none, as for theory.
        "every": 0
        if role in THEORY_ROLES
        else spacing * math.ceil(len(xs) / MARKERS_PER_LINE),
        "x": xs,
        "mean": [rounded(point.mean, 4) for point in found],
        "low": [rounded(point.interval[0], 4) for point in found],
        "high": [rounded(point.interval[1], 4) for point in found],
        "seeds": [point.seeds for point in found],
    }


def _horizontal(title: str) -> alt.X:
    """Return the encoding of x, whose domain follows the lines that are chosen."""
    axis = alt.Axis(tickMinStep=1, tickCount=10, format=",d", labelOverlap=True)
    # Room for the markers at both ends.
    scale = alt.Scale(nice=False, zero=False, padding=6)
    return alt.X("x:Q", title=title, scale=scale, axis=axis)


def _describe(plot: Plot, lines: list[Line]) -> str:
    """Describe the chart in words that hold for every choice."""
    means = [found.mean for line in lines for _, found in line.points]
    return (
        f"{plot.title}. {plot.axes.y} against {plot.axes.x}, for the chosen lines; "
        f"over all choices from {number(min(means))} to {number(max(means))}."
    )
