"""From records to figures: panels of lines, with what a reader must know."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jaxnets.report.charts.axes import THEORY_ROLES, Axes, Line, Range, vertical_range
from jaxnets.report.charts.line_chart import line_chart
from jaxnets.report.charts.lines import band_note, make_line
from jaxnets.report.charts.style import ordered_families
from jaxnets.report.intervals import describe_intervals, number, over_seeds
from jaxnets.runs.records import Record


class Plot(NamedTuple):
    """What a figure shows and how it is to be read.

    Attributes:
        name: For file names, such as `gradient-by-layer`.
        title: Heading of the figure.
        reading: One sentence or two on how to read it.
        axes: What the axes say.
        kind: `lines`; `explorer`, of which the reader chooses size and step; or `heat
            map`: the x of the axes goes upwards there, their y is the colour, and
            updates go to the right.
        size: Where the reader chooses a size, what it is, such as `depth`.
    """

    name: str
    title: str
    reading: str
    axes: Axes
    kind: str = "lines"
    size: str = ""


class Spot(NamedTuple):
    """Where a record stands in a figure.

    Attributes:
        x: Place on the horizontal axis.
        panel: Heading of its panel; empty where a figure has one panel.
        role: `measured` or `theory`, `training` or `validation`; empty for one role.
    """

    x: float
    panel: str = ""
    role: str = ""


class Panel(NamedTuple):
    """One chart of a figure: its heading, what it shows in words, and its lines."""

    title: str
    description: str
    lines: Sequence[Line] = ()


class Figure(NamedTuple):
    """Charts that share axes and a legend.

    Attributes:
        study: The study it belongs to.
        plot: What it shows.
        panels: Its charts; never empty.
        extent: The vertical extent of all of them.
        families: All families of the study, in the order that fixes their colours.
        notes: Sentences on intervals and what was left out.
        finding: What it shows, in a sentence that begins with a verdict and a colon;
            empty where nobody judged it.
    """

    study: str
    plot: Plot
    panels: list[Panel]
    extent: Range
    families: list[str]
    notes: list[str]
    finding: str = ""

    def chart(self, panel: Panel, legend: bool) -> dict[str, Any]:
        """Return the specification of the chart of one of its panels."""
        return line_chart(
            panel.lines,
            self.plot.axes,
            self.extent,
            self.families,
            panel.description,
            legend,
        )

    def heading(self, panel: Panel) -> str:
        """Return the heading of a panel that stands alone."""
        return f"{self.plot.title}, {panel.title}" if panel.title else self.plot.title

    def drawn(self) -> list[tuple[int, str]]:
        """Return the families that it shows, each after the number of its colour."""
        seen = {line.family for panel in self.panels for line in panel.lines}
        return [(i, name) for i, name in enumerate(self.families) if name in seen]

    def roles(self) -> list[str]:
        """Return the roles that it shows, in the order of their dashes."""
        seen = [line.role for panel in self.panels for line in panel.lines]
        return [role for role in dict.fromkeys(seen) if role]


def make_figure(
    study: str, plot: Plot, spots: Iterable[tuple[Record, Spot]], present: set[str]
) -> Figure | None:
    """Draw `spots`, in the order in which their panels and roles come.

    Args:
        study: The study they belong to.
        plot: What the figure shows.
        spots: Each record with its place in the figure.
        present: All families of the study, also those that this figure lacks.

    Returns:
        The figure, or None where nothing is finite enough to be drawn.
    """
    families = ordered_families(study, present)
    panels: dict[str, list[Line]] = defaultdict(list)
    left_out = set()
    for (title, role, family), places in _grouped(spots, families).items():
        if any(over_seeds(records).left_out for records in places.values()):
            left_out.add(_where(family, title))
        drawn = make_line(family, role, places, plot.axes.bounds)
        if drawn.points:
            panels[title].append(drawn)
    lines = [drawn for panel in panels.values() for drawn in panel]
    if not lines:
        return None
    if all(len(drawn.points) == 1 for drawn in lines):
        # A band needs two places.
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


def _where(family: str, title: str) -> str:
    return f"{family}, {title}" if title else family


def left_out_note(names: set[str]) -> list[str]:
    """Say where values are not drawn, in a sentence or none."""
    if not names:
        return []
    return [
        "Values that are not finite (a loss that diverged, or a gradient of exactly "
        f"zero) are left out: {'; '.join(sorted(names))}."
    ]


def _describe(plot: Plot, title: str, lines: Sequence[Line]) -> str:
    """Say in words what a panel shows, from its first to its last point."""
    heading = f"{plot.title}, {title}" if title else plot.title
    ends = []
    for drawn in lines:
        (first, start), (last, end) = drawn.points[0], drawn.points[-1]
        name = f"{drawn.family} ({drawn.role})" if drawn.role else drawn.family
        ends.append(
            f"{name}: {number(start.mean)} at {first:g}"
            + (f", {number(end.mean)} at {last:g}" if last != first else "")
        )
    return f"{heading}. {plot.axes.y} against {plot.axes.x}. {'; '.join(ends)}."
