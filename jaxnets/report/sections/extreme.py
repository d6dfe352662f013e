"""The study of extreme depth: plain tanh convolutions at and off the critical gain."""

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.sections.gradients import (
    GRADIENT,
    LOG_NORM,
    THEORY,
    arrival,
    misfit_column,
    role_of,
)
from jaxnets.report.sections.section import (
    Column,
    Headline,
    Section,
    Spots,
    Table,
    as_interval,
    as_percent,
    as_size,
    make_section,
    make_table,
)
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.folder import Run
from jaxnets.runs.formatting import format_power_of_ten
from jaxnets.runs.intervals import NOT_NEGATIVE, SHARE
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
    """Return the section of the study `extreme`."""
    records = run.of_study("extreme")
    of = lambda metric: of_metric(records, metric)
    gradients = of_metric(records, GRADIENT, THEORY)
    start = before_training(gradients)
    plots: list[tuple[Plot, Spots]] = [
        (_BEFORE, _by_layer(start)),
        (_ACCURACY, _by_step(of("validation_accuracy"))),
        (_LOSS, _by_step(of("validation_loss"))),
        (_AFTER, _by_layer(after_training(of(GRADIENT)))),
    ]
    return make_section(
        "extreme",
        "Can a network of thousands of layers train without shortcuts and "
        "normalisation, and how exact must its gain be?",
        plots,
        _table(records, start),
        {record.family for record in records},
        _headline(start, of("test_accuracy")),
    )


def _headline(start: list[Record], tested: list[Record]) -> Headline | None:
    depth = max((record.size for record in start), default=0.0)
    measured = of_metric(start, GRADIENT)
    shares = {
        family: arrival(measured, family, depth)
        for family in STUDIES["extreme"].families
    }
    found = {
        name: format_power_of_ten(share)
        for name, share in shares.items()
        if share is not None
    }
    if not found:
        return None
    (first, number), *others = found.items()
    sentence = f"of the gradient reaches the first of {depth:,.0f} layers if the "
    sentence += "gain is critical" if first == "critical" else f"network has a {first}"
    sentence += "".join(f", {share} with a {name}" for name, share in others)
    accuracy = over_seeds(r for r in tested if r.family == first)
    if accuracy:
        layers = tested[0].size
        share = f"{accuracy.mean:.0%}".replace("%", " %")
        sentence += f"; {layers:,.0f} layers, trained, test at {share}"
    return Headline(number, f"{sentence}.", _BEFORE.name, f"{first}, {depth:g} layers,")


def _by_layer(records: list[Record]) -> Spots:
    for record in sorted(by_position(records), key=lambda record: -record.size):
        layer = float((record.position or 0) + 1)
        yield record, Spot(layer, f"{record.size:,.0f} layers", role_of(record))


def _by_step(records: list[Record]) -> Spots:
    for record in records:
        yield record, Spot(float(record.step), f"{record.size:,.0f} layers")


_LAYER = "layer, counted from the input"
_BEFORE = Plot(
    "gradient-by-layer",
    "Gradient by layer, before training",
    "A level line keeps the size of the gradient through all layers. Ten percent too "
    "little gain makes it vanish and ten percent too much makes it explode, tenfold "
    "with each unit of the vertical axis. Dashed: theory's prediction.",
    Axes(_LAYER, LOG_NORM),
)
_ACCURACY = Plot(
    "validation-accuracy",
    "Learning: validation accuracy",
    "At the critical gain the network learns. With the wrong gain it stays at 10 %, "
    "which is guessing among ten digits.",
    Axes("updates", "validation accuracy", bounds=SHARE, share=True),
)
_LOSS = Plot(
    "validation-loss",
    "Learning: validation loss",
    "Cross-entropy in nats. A line that stays at 2.30, the logarithm of ten, belongs "
    "to a network that guesses.",
    Axes("updates", "validation loss (nats)", bounds=NOT_NEGATIVE),
)
_AFTER = Plot(
    "gradient-after",
    "Gradient by layer, after training",
    "While the line stays level, all layers keep learning at the same pace.",
    Axes(_LAYER, LOG_NORM),
)


def _table(records: list[Record], start: list[Record]) -> Table | None:
    of = lambda metric: of_metric(records, metric)
    return make_table(
        "extreme",
        "Mean and interval over seeds. Gradients are log10 of the norm at the first "
        "layer.",
        "Layers",
        records,
        [
            Column("Gradient before", ends(of_metric(start, GRADIENT)), as_interval),
            misfit_column(start),
            Column("Validation loss", at_end(of("validation_loss")), as_size),
            Column("Test accuracy", at_end(of("test_accuracy")), as_percent),
        ],
    )
