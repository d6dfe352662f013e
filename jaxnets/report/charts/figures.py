"""From records to figures: panels of lines with titles, notes and descriptions."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jaxnets.report.charts.axes import THEORY_ROLES, Axes, Line, Range, vertical_range
from jaxnets.report.charts.line_chart import line_chart
from jaxnets.report.charts.lines import band_note, make_line, with_title
from jaxnets.report.charts.style import ordered_families
from jaxnets.report.intervals import describe_intervals, number
from jaxnets.runs.records import Record


class Plot(NamedTuple):
    """What a figure shows and how to read it.

    Attributes:
        name: Used in file names, such as `gradient-by-layer`.
        title: Heading of the figure.
        reading: How to read the figure, in a few sentences.
        axes: Titles and scales of the axes.
        kind: `lines`; `dots`, where each place has a row; `profile`, where a line joins
            the rows; `explorer`, where the reader chooses size and training step; or
            `heat map`, where `axes.x` is the vertical axis, `axes.y` is the colour, and
            the horizontal axis is the number of updates.
        size: What the size is that the reader chooses, such as `depth`.
    """

    name: str
    title: str
    reading: str
    axes: Axes
    kind: str = "lines"
    size: str = ""


class Spot(NamedTuple):
    """Where a record is drawn in a figure.

    Attributes:
        x: Value on the horizontal axis.
        panel: Title of the panel; empty if the figure has a single panel.
        role: `measured` or `theory`, `training` or `validation`; empty if all lines
            have one role.
    """

    x: float
    panel: str = ""
    role: str = ""


class Panel(NamedTuple):
    """One chart of a figure: its title, its description in words, and its lines."""

    title: str
    description: str
    lines: Sequence[Line] = ()


class Figure(NamedTuple):
    """Line charts that share axes and a legend.

    Attributes:
        study: Name of the study.
        plot: What the figure shows.
        panels: Its charts; never empty.
        extent: The vertical range of all panels.
        families: All families of the study, in the order of their colours.
        notes: Sentences on intervals and on values that are not drawn.
        finding: A sentence that begins with a verdict and a colon; empty if there is no
            verdict.
    """

    study: str
    plot: Plot
    panels: list[Panel]
    extent: Range
    families: list[str]
    notes: list[str]
    finding: str = ""

    def chart(self, panel: Panel, legend: bool) -> dict[str, Any]:
        """Return the Vega-Lite specification of a panel."""
        return line_chart(
            panel.lines,
            self.plot.axes,
            self.extent,
            self.families,
            panel.description,
            legend,
        )

    def heading(self, panel: Panel) -> str:
        """Return the title of a panel that is exported alone."""
        return with_title(self.plot.title, panel.title)

    def drawn(self) -> list[tuple[int, str]]:
        """Return the families in the figure, each as `(index of its colour, name)`."""
        seen = {line.family for panel in self.panels for line in panel.lines}
        return [(i, name) for i, name in enumerate(self.families) if name in seen]

    def roles(self) -> list[str]:
        """Return the roles in the figure, in the order of their dashes."""
        seen = [line.role for panel in self.panels for line in panel.lines]
        return [role for role in dict.fromkeys(seen) if role]


def make_figure(
    study: str, plot: Plot, spots: Iterable[tuple[Record, Spot]], present: set[str]
) -> Figure | None:
    """Return the figure of `spots`; panels and roles keep the order of the spots.

    Args:
        study: Name of the study.
        plot: What the figure shows.
        spots: Records, each with where it is drawn.
        present: All families of the study, also those without a record in `spots`.

    Returns:
        The figure, or None if no value is finite.
    """
    families = ordered_families(study, present)
    panels: dict[str, list[Line]] = defaultdict(list)
    left_out = set()
    for (title, role, family), points in _grouped(spots, families).items():
        records = itertools.chain.from_iterable(points.values())
        if not all(math.isfinite(record.value) for record in records):
            left_out.add(with_title(family, title))
        drawn = make_line(family, role, points, plot.axes.bounds)
        if drawn.points:
            panels[title].append(drawn)
    lines = [drawn for panel in panels.values() for drawn in panel]
    if not lines:
        return None
    if all(len(drawn.points) == 1 for drawn in lines):
        # A band needs two values of x.
        plot = plot._replace(axes=plot.axes._replace(bars=True))
    extent = vertical_range(lines, plot.axes)
    measured = [drawn for drawn in lines if drawn.role not in THEORY_ROLES]
    seeds = [found.seeds for drawn in measured for _, found in drawn.points]
    notes = [
        describe_intervals(seeds, "Bars" if plot.axes.bars else "Bands"),
        *(["Logarithmic vertical axis."] if extent.log else []),
        *band_note(panels),
        *left_out_note(left_out),
    ]
    charts = [
        Panel(title, _describe(plot, title, panel), panel)
        for title, panel in panels.items()
    ]
    return Figure(study, plot, charts, extent, families, notes)


def first_look(figure: Figure) -> Figure:
    """Return the last panel of a figure alone, without theory's lines."""
    panel = figure.panels[-1]
    measured = [line for line in panel.lines if line.role not in THEORY_ROLES]
    lines = measured or panel.lines
    return figure._replace(
        panels=[panel._replace(lines=lines)],
        extent=vertical_range(lines, figure.plot.axes),
    )


def _grouped(
    spots: Iterable[tuple[Record, Spot]], families: Sequence[str]
) -> dict[tuple[str, str, str], dict[float, list[Record]]]:
    """Group records by panel, role and family, and within them by x."""
    groups = defaultdict(lambda: defaultdict(list))
    order: dict[str, None] = {}
    roles: dict[str, None] = {}
    for record, spot in spots:
        groups[spot.panel, spot.role, record.family][spot.x].append(record)
        order[spot.panel] = roles[spot.role] = None
    titles, names = list(order), list(roles)
    return dict(
        sorted(
            groups.items(),
            key=lambda group: (
                titles.index(group[0][0]),
                names.index(group[0][1]),
                families.index(group[0][2]),
            ),
        )
    )


def left_out_note(names: set[str]) -> list[str]:
    """Return a sentence on the lines with values that are not drawn, if any."""
    if not names:
        return []
    return [
        "Values that are not finite (a diverged loss or a gradient of exactly zero) "
        f"are left out: {'; '.join(sorted(names))}."
    ]


def _describe(plot: Plot, title: str, lines: Sequence[Line]) -> str:
    """Describe a panel in words: the first and the last point of each line."""
    heading = with_title(plot.title, title)
    ends = []
    for drawn in lines:
        (first, start), (last, end) = drawn.points[0], drawn.points[-1]
        name = f"{drawn.family} ({drawn.role})" if drawn.role else drawn.family
        ends.append(
            f"{name}: {number(start.mean)} at {first:g}"
            + (f", {number(end.mean)} at {last:g}" if last != first else "")
        )
    return f"{heading}. {plot.axes.y} against {plot.axes.x}. {'; '.join(ends)}."
