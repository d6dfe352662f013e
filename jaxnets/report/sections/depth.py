"""The study of depth: plain and residual networks."""

from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.sections import depth_plots as plots
from jaxnets.report.sections.gradients import (
    BAND,
    GRADIENT,
    THEORY,
    inside_column,
    misfit_column,
    role_of,
)
from jaxnets.report.sections.section import (
    Column,
    Section,
    Spots,
    Table,
    as_correlation,
    as_interval,
    as_percent,
    as_size,
    make_section,
    make_table,
)
from jaxnets.runs.folder import Run
from jaxnets.runs.records import Record
from jaxnets.runs.selection import (
    after_training,
    at_end,
    before_training,
    by_position,
    ends,
    of_metric,
)


def draw(run: Run) -> Section:
    """Return the section of the study `depth`."""
    records = run.of_study("depth")
    measured = of_metric(records, GRADIENT)
    gradients = of_metric(records, GRADIENT, THEORY, *BAND)
    of = lambda metric: of_metric(records, metric)
    drawn: list[tuple[Plot, Spots]] = [
        (plots.BY_BLOCK, _by_block(before_training(gradients))),
        (plots.FIRST_LAYER, _by_depth(ends(measured))),
        (plots.EXPLORER, _by_block(gradients)),
        (plots.HEAT_MAP, _by_block(measured)),
        (plots.DURING_TRAINING, _by_step(ends(measured))),
        (plots.RESPONSE, _by_block(before_training(of("response_std")))),
        (plots.CORRELATION, _by_depth(before_training(of("gradient_correlation")))),
        (plots.PATH_LENGTH, _by_depth(before_training(of("path_length")))),
        (plots.ACCURACY, _by_step(of("validation_accuracy"))),
        (plots.LOSS, _by_step(of("validation_loss"))),
        (plots.TEST_ACCURACY, _at_end(of("test_accuracy"))),
    ]
    return make_section(
        "depth",
        "What happens to the gradient on its way from the loss back to the first "
        "layer when a network gets deeper, and how do shortcut connections and batch "
        "normalisation change that?",
        drawn,
        _table(records, measured, gradients),
        {record.family for record in records},
    )


def _label(record: Record) -> str:
    return f"depth {record.size:g}"


def _by_size(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.size)


def _by_block(records: list[Record]) -> Spots:
    """Draw each record at its block, in the panel of its depth."""
    for record in _by_size(by_position(records)):
        block = float(record.position or 0)
        yield record, Spot(block, _label(record), role_of(record))


def _by_step(records: list[Record]) -> Spots:
    for record in _by_size(records):
        yield record, Spot(float(record.step), _label(record))


def _by_depth(records: list[Record]) -> Spots:
    for title, found in (
        ("before training", before_training(records)),
        ("after training", after_training(records)),
    ):
        for record in found:
            yield record, Spot(record.size, title)


def _at_end(records: list[Record]) -> Spots:
    for record in at_end(records):
        yield record, Spot(record.size)


def _table(
    records: list[Record], measured: list[Record], gradients: list[Record]
) -> Table | None:
    of = lambda metric: of_metric(records, metric)
    start = before_training(gradients)
    return make_table(
        "depth",
        "Mean and interval over seeds. Gradients are log10 of the norm at the first "
        "layer.",
        "Depth",
        records,
        [
            Column("Gradient before", before_training(ends(measured)), as_interval),
            Column("Gradient after", after_training(ends(measured)), as_interval),
            misfit_column(start),
            inside_column("Blocks inside theory's band", start),
            Column(
                "Gradient correlation",
                before_training(of("gradient_correlation")),
                as_correlation,
            ),
            Column("Path length", before_training(of("path_length")), as_size),
            Column(
                "Validation accuracy", at_end(of("validation_accuracy")), as_percent
            ),
            Column("Test accuracy", at_end(of("test_accuracy")), as_percent),
        ],
    )
