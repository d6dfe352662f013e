"""The study of architectures: dense, convolutional and recurrent networks."""

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.sections.section import (
    Headline,
    Section,
    Spots,
    Table,
    as_percent,
    make_section,
)
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.folder import Run
from jaxnets.runs.intervals import NOT_NEGATIVE, SHARE
from jaxnets.runs.records import Record
from jaxnets.runs.selection import at_end, of_metric


# By task, which is the part of an arm's name after its family.
TASKS = {
    "images": "digits as images",
    "pixels": "pixel sequences",
    "shuffled": "shuffled pixels",
    "adding": "adding problem",
}


def draw(run: Run) -> Section:
    """Return the section of the study `architecture`."""
    records = run.of_study("architecture")
    tested = at_end(of_metric(records, "test_accuracy"))
    curves = of_metric(records, "validation_accuracy")
    plots: list[tuple[Plot, Spots]] = [
        (_BY_TASK, _by_task(tested)),
        (_CURVES, _by_step(curves)),
        (_LOSS, _by_step(of_metric(records, "validation_loss"))),
    ]
    return make_section(
        "architecture",
        "Which kind of network suits which data, if all have the same number of "
        "parameters and train equally long?",
        plots,
        _table(tested),
        {record.family for record in records},
        _headline(tested),
    )


def _task(record: Record) -> str:
    name = record.arm.partition("-")[2]
    return TASKS.get(name, name)


def _of_network(tested: list[Record], family: str, task: str) -> list[Record]:
    return [r for r in tested if r.family == family and _task(r) == TASKS[task]]


def _headline(tested: list[Record]) -> Headline | None:
    """Say what shuffling the pixels costs the convolutional network."""
    before, after = (
        over_seeds(_of_network(tested, "CNN", task)) for task in ("images", "shuffled")
    )
    dense = over_seeds(_of_network(tested, "dense", "shuffled"))
    if before is None or after is None or dense is None:
        return None
    number = f"{100 * after.mean:.3g} %"
    sentence = (
        "of digits with shuffled pixels are classified rightly by the convolutional "
        f"network, {100 * before.mean:.3g} % of whole images; the dense network, "
        f"which knows no neighbours, gets {100 * dense.mean:.3g} % of the shuffled ones"
    )
    return Headline(number, f"{sentence}.", _BY_TASK.name, "digits with shuffled")


def _by_task(tested: list[Record]) -> Spots:
    for record in sorted(tested, key=lambda record: record.size):
        yield record._replace(place=_task(record)), Spot(record.size)


def _by_step(records: list[Record]) -> Spots:
    for record in sorted(records, key=lambda record: record.size):
        yield record, Spot(float(record.step), _task(record))


_BY_TASK = Plot(
    "accuracy-by-task",
    "Right answers on the test data, by task",
    "Each row is a task. An answer of the adding problem is right if its error is "
    "below 0.04.",
    Axes("task", "share of right answers", bounds=SHARE, share=True),
    kind="dots",
)
_CURVES = Plot(
    "validation-accuracy",
    "Learning: right answers on the validation data",
    "Higher and earlier is better.",
    Axes("updates", "share of right answers", bounds=SHARE, share=True),
)
_LOSS = Plot(
    "validation-loss",
    "Learning: validation loss",
    "Cross-entropy in nats on digits; the mean squared error on the adding problem, "
    "where a network that remembers nothing stays at 1/6.",
    Axes("updates", "validation loss", bounds=NOT_NEGATIVE, log=True),
)


def _table(tested: list[Record]) -> Table | None:
    families = STUDIES["architecture"].families
    rows = []
    for task, title in TASKS.items():
        found = [_of_network(tested, family, task) for family in families]
        if any(found):
            rows.append([title, *(as_percent(each) if each else "–" for each in found)])
    if not rows:
        return None
    return Table(
        "Results in numbers",
        "Share of right answers on the test data: mean and interval over seeds. An "
        "answer of the adding problem is right if its error is below 0.04.",
        ["Task", *families],
        rows,
    )
