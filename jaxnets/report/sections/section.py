"""The section of a study: its figures, its table, and what has no records."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from jaxnets.report.charts.dot_plot import DotPlot, make_dot_plot
from jaxnets.report.charts.explorer import Explorer, make_explorer
from jaxnets.report.charts.figures import Figure, Plot, Spot, make_figure
from jaxnets.report.charts.heat_maps import HeatMap, make_heat_map
from jaxnets.report.charts.phase_diagram import PhaseDiagram
from jaxnets.report.charts.style import ordered_families
from jaxnets.report.intervals import interval, number
from jaxnets.runs.catalogue import SECTIONS
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.intervals import NOT_NEGATIVE, SHARE, SIGNED_SHARE, Bounds
from jaxnets.runs.records import Record


Spots = Iterable[tuple[Record, Spot]]
AnyFigure = Figure | DotPlot | Explorer | HeatMap | PhaseDiagram
# By the kind of plot.
MAKERS = {
    "lines": make_figure,
    "dots": make_dot_plot,
    "profile": make_dot_plot,
    "explorer": make_explorer,
    "heat map": make_heat_map,
}


class Table(NamedTuple):
    """A table of text: its title, caption, headings of columns, and rows of cells."""

    title: str
    caption: str
    head: list[str]
    rows: list[list[str]]


class Headline(NamedTuple):
    """What a study found, for the reader who looks at nothing else.

    Attributes:
        number: The one number, with its unit.
        sentence: The rest of the sentence that begins with the number.
        plot: Name of the plot that shows it.
        subject: What a verdict's `where` begins with if its remedy belongs here.
    """

    number: str
    sentence: str
    plot: str
    subject: str


class Section(NamedTuple):
    """What the page shows of one study.

    Attributes:
        study: Name of the study in the records.
        title: Heading of the section.
        question: What the study asks, in a sentence or two.
        figures: The figures that have records, the most important ones first.
        table: The results in numbers; None if there are none.
        absent: Titles of the figures that have no records.
        headline: What the study found; None if its records do not say.
    """

    study: str
    title: str
    question: str
    figures: list[AnyFigure]
    table: Table | None
    absent: list[str]
    headline: Headline | None = None


class Column(NamedTuple):
    """A column of a study's table.

    Attributes:
        title: Heading of the column.
        records: The records that its cells are computed from.
        write: Returns the text of a cell from the records of one network.
        note: A sentence that is added to the table's caption.
    """

    title: str
    records: list[Record]
    write: Callable[[list[Record]], str]
    note: str = ""


def section_title(study: str) -> str:
    """Return the heading of the section of a study."""
    row = SECTIONS[study]
    return f"{row.title}: {row.subject}"


def make_section(
    study: str,
    question: str,
    plots: Iterable[tuple[Plot, Spots]],
    table: Table | None,
    present: set[str],
    headline: Headline | None = None,
) -> Section:
    """Return the section with the plots that have records; the others are absent.

    Args:
        study: Name of the study.
        question: What the study asks.
        plots: Each plot with its records and where they are drawn.
        table: The results in numbers.
        present: All families of the study.
        headline: What the study found.
    """
    figures, absent = [], []
    for plot, spots in plots:
        drawn = MAKERS[plot.kind](study, plot, spots, present)
        if drawn is None:
            absent.append(plot.title)
        else:
            figures.append(drawn)
    title = section_title(study)
    return Section(study, title, question, figures, table, absent, headline)


def make_table(
    study: str,
    caption: str,
    size_title: str,
    records: list[Record],
    columns: list[Column],
    name: Callable[[Record], str] = lambda record: record.family,
) -> Table | None:
    """Return the table with a row for each arm, in the order of sizes and families.

    Args:
        study: Name of the study, which determines the order of families.
        caption: What the table shows.
        size_title: Heading of the column of sizes.
        records: All records of the study, which determine the rows.
        columns: The other columns; those without records are left out.
        name: Names the network of a record; by default this is its family.

    Returns:
        The table, or None if no column has records.
    """
    columns = [column for column in columns if column.records]
    if not columns:
        return None
    caption += "".join(column.note for column in columns)
    families = ordered_families(study, {record.family for record in records})
    rank = {family: index for index, family in enumerate(families)}
    arms = {r.arm: r for r in sorted(records, key=lambda r: (r.size, rank[r.family]))}
    rows = [
        [name(r), number(r.size), *(_cell(column, arm) for column in columns)]
        for arm, r in arms.items()
    ]
    head = ["Network", size_title, *(column.title for column in columns)]
    return Table("Results in numbers", caption, head, rows)


def _cell(column: Column, arm: str) -> str:
    found = [record for record in column.records if record.arm == arm]
    return column.write(found) if found else "–"


def as_interval(records: list[Record]) -> str:
    """Write the mean and the interval over seeds."""
    return interval(over_seeds(records))


def as_size(records: list[Record]) -> str:
    """Write the mean and the interval of what cannot be negative, such as a loss."""
    return as_bounded(records, NOT_NEGATIVE)


def as_correlation(records: list[Record]) -> str:
    """Write the mean and the interval of a correlation."""
    return as_bounded(records, SIGNED_SHARE)


def as_percent(records: list[Record]) -> str:
    """Write the mean and the interval of a share, in percent."""
    return as_bounded(records, SHARE, share=True)


def as_bounded(records: list[Record], bounds: Bounds, share: bool = False) -> str:
    """Write the mean and the interval of a quantity that stays inside `bounds`."""
    found = over_seeds(records)
    return interval(found and found.within(bounds), share)


def as_count(records: list[Record]) -> str:
    """Write for how many seeds a flag is set."""
    seeds = {record.seed for record in records}
    flagged = {record.seed for record in records if record.value >= 0.5}
    return f"{len(flagged)} of {len(seeds)} seeds"
