"""A study as the page shows it: figures, a table, and what is absent."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from jaxnets.report.charts.axes import MEASURED, PREDICTED, Line
from jaxnets.report.charts.explorer import Explorer, make_explorer
from jaxnets.report.charts.figures import Figure, Plot, Spot, make_figure
from jaxnets.report.charts.heat_maps import HeatMap, make_heat_map
from jaxnets.report.charts.lines import make_line, misfit, points_inside
from jaxnets.report.charts.phase_diagram import PhaseDiagram
from jaxnets.report.charts.style import ordered_families
from jaxnets.report.intervals import NOT_NEGATIVE, SHARE, interval, number, over_seeds
from jaxnets.runs.records import Record


MISFIT = (
    " Misfit: root mean square distance of theory's line from the measured one, with "
    "neither of them moved."
)
Spots = Iterable[tuple[Record, Spot]]
AnyFigure = Figure | Explorer | HeatMap | PhaseDiagram
# By the kind of a plot.
DRAW = {"lines": make_figure, "explorer": make_explorer, "heat map": make_heat_map}


class Table(NamedTuple):
    """Figures as text: a title, a caption, the head and the rows of cells."""

    title: str
    caption: str
    head: list[str]
    rows: list[list[str]]


class Section(NamedTuple):
    """One study.

    Attributes:
        study: Its name in the records.
        title: Heading.
        question: What the study asks, in a sentence or two.
        figures: What could be drawn.
        table: Its figures as text; None where there are none.
        absent: Titles of the figures that the run has no records for.
    """

    study: str
    title: str
    question: str
    figures: list[AnyFigure]
    table: Table | None
    absent: list[str]


class Column(NamedTuple):
    """A column of a study's table: a heading, its records, and how to write them."""

    title: str
    records: list[Record]
    write: Callable[[list[Record]], str]


def make_section(
    study: str,
    title: str,
    question: str,
    plots: Iterable[tuple[Plot, Spots]],
    table: Table | None,
    present: set[str],
) -> Section:
    """Draw the plots that have records, and list the others as absent."""
    figures, absent = [], []
    for plot, spots in plots:
        drawn = DRAW[plot.kind](study, plot, spots, present)
        if drawn is None:
            absent.append(plot.title)
        else:
            figures.append(drawn)
    return Section(study, title, question, figures, table, absent)


def make_table(
    study: str, caption: str, size: str, records: list[Record], columns: list[Column]
) -> Table | None:
    """Return the table with a row for each family and size.

    Args:
        study: The study, which fixes the order of families.
        caption: What the table shows.
        size: Heading of the column of sizes.
        records: All records of the study, which fix the rows.
        columns: The other columns; those without records are left out.

    Returns:
        The table, or None where no column has records.
    """
    columns = [column for column in columns if column.records]
    arms = {(record.size, record.family) for record in records}
    if not columns:
        return None
    if any(column.write is as_misfit for column in columns):
        caption += MISFIT
    families = ordered_families(study, {family for _, family in arms})
    rows = []
    for arm_size, family in sorted(
        arms, key=lambda arm: (arm[0], families.index(arm[1]))
    ):
        cells = [family, f"{arm_size:g}"]
        for column in columns:
            found = _of_arm(column.records, family, arm_size)
            cells.append(column.write(found) if found else "–")
        rows.append(cells)
    return Table(
        "The figures", caption, ["Network", size, *(c.title for c in columns)], rows
    )


def _of_arm(records: list[Record], family: str, size: float) -> list[Record]:
    return [r for r in records if (r.family, r.size) == (family, size)]


def as_interval(records: list[Record]) -> str:
    """Write mean and interval over seeds."""
    return interval(over_seeds(records))


def as_size(records: list[Record]) -> str:
    """Write mean and interval of what cannot be negative, such as a loss."""
    return interval(over_seeds(records).within(NOT_NEGATIVE))


def as_percent(records: list[Record]) -> str:
    """Write mean and interval of a share."""
    return interval(over_seeds(records).within(SHARE), share=True)


def as_count(records: list[Record]) -> str:
    """Write in how many seeds a flag is set."""
    flags = defaultdict(float)
    for record in records:
        flags[record.seed] = max(flags[record.seed], record.value)
    solved = sum(flag >= 0.5 for flag in flags.values())
    return f"{solved} of {len(flags)} seeds"


def as_misfit(records: list[Record]) -> str:
    """Write how far theory's line lies from the measured one, in decades."""
    distance = misfit(*_beside_theory(records))
    return "–" if distance is None else number(distance, 2)


def as_inside(records: list[Record]) -> str:
    """Write at how many places the measured line lies in theory's band."""
    count, places = points_inside(*_beside_theory(records))
    return f"{count} of {places}" if places else "–"


def _beside_theory(records: list[Record]) -> tuple[Line, Line]:
    """Return the measured line and theory's."""
    theirs = {PREDICTED: defaultdict(list), MEASURED: defaultdict(list)}
    for record in records:
        role = PREDICTED if record.metric.startswith("predicted_") else MEASURED
        if record.position is not None:
            theirs[role][float(record.position)].append(record)
    return make_line("", MEASURED, theirs[MEASURED]), make_line(
        "", PREDICTED, theirs[PREDICTED]
    )
