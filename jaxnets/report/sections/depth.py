"""The study of depth: plain and residual networks."""

from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.sections import depth_plots as plots
from jaxnets.report.sections.gradients import (
    BAND,
    GRADIENT,
    THEORY,
    arrival,
    inside_column,
    misfit_column,
    role_of,
)
from jaxnets.report.sections.section import (
    Column,
    Headline,
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
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.folder import Run
from jaxnets.runs.formatting import format_power_of_ten
from jaxnets.runs.records import Record
from jaxnets.runs.selection import (
    after_training,
    at_end,
    before_training,
    by_position,
    ends,
    of_metric,
)


CONTRAST = ("plain", "residual")


def draw(run: Run) -> Section:
    """Return the section of the study `depth`."""
    records = run.of_study("depth")
    measured = of_metric(records, GRADIENT)
    gradients = of_metric(records, GRADIENT, THEORY, *BAND)
    of = lambda metric: of_metric(records, metric)
    drawn: list[tuple[Plot, Spots]] = [
        (plots.BY_BLOCK, _by_block(before_training(gradients))),
        (plots.TEST_ACCURACY, _at_end(of("test_accuracy"))),
        (plots.FIRST_LAYER, _by_depth(ends(measured))),
        (plots.EXPLORER, _by_block(gradients)),
        (plots.HEAT_MAP, _by_block(measured)),
        (plots.DURING_TRAINING, _by_step(ends(measured))),
        (plots.RESPONSE, _by_block(before_training(of("response_std")))),
        (plots.CORRELATION, _by_depth(before_training(of("gradient_correlation")))),
        (plots.PATH_LENGTH, _by_depth(before_training(of("path_length")))),
        (plots.LESION, _by_block(of("lesion"), first=1)),
        (plots.CONTRIBUTION, _by_block(of("block_contribution"), first=1)),
        *_gains(records),
        (plots.ACCURACY, _by_step(of("validation_accuracy"))),
        (plots.LOSS, _by_step(of("validation_loss"))),
    ]
    return make_section(
        "depth",
        "How much of the gradient reaches the first layer of a deeper network, and how "
        "do shortcut connections and BatchNorm change that?",
        drawn,
        _table(records, measured, gradients),
        {record.family for record in records},
        _headline(before_training(measured), at_end(of("test_accuracy"))),
    )


def _gains(records: list[Record]) -> list[tuple[Plot, Spots]]:
    """Return the plots of the composite gain, which only hyper-connections have."""
    found = (
        (plots.FORWARD_GAIN, after_training(of_metric(records, "log10_forward_gain"))),
        (
            plots.BACKWARD_GAIN,
            after_training(of_metric(records, "log10_backward_gain")),
        ),
    )
    return [(plot, _by_block(of, first=1)) for plot, of in found if of]


def _headline(gradients: list[Record], accuracies: list[Record]) -> Headline | None:
    """Contrast plain and residual networks at the largest depth that both have."""
    sizes = [{r.size for r in gradients if r.family == name} for name in CONTRAST]
    if not sizes[0] & sizes[1]:
        return None
    depth = max(sizes[0] & sizes[1])
    plain, residual = (arrival(gradients, name, depth) for name in CONTRAST)
    if plain is None or residual is None:
        return None
    sentence = (
        f"as much of the gradient reaches the first layer of a {depth:g}-layer network "
        "with shortcut connections as without"
    )
    without, with_shortcuts = (
        over_seeds(r for r in accuracies if (r.family, r.size) == (name, depth))
        for name in CONTRAST
    )
    if without and with_shortcuts:
        sentence += (
            f"; trained, it tests at {with_shortcuts.mean:.0%} instead of "
            f"{without.mean:.0%}"
        ).replace("%", " %")
    return Headline(
        f"{_factor(residual - plain)} times",
        f"{sentence}.",
        plots.BY_BLOCK.name,
        f"{CONTRAST[0]}, depth {depth:g},",
    )


def _factor(exponent: float) -> str:
    """Write `10^exponent`; up to a million without a power of ten."""
    if 4 <= exponent < 6:
        return f"{round(10**exponent, -4):,.0f}"
    return format_power_of_ten(exponent)


def _label(record: Record) -> str:
    return f"depth {record.size:g}"


def _by_size(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.size)


def _by_block(records: list[Record], first: int = 0) -> Spots:
    """Draw each record at its block, in the panel of its depth.

    `first` is the number of the block at position 0.
    """
    for record in _by_size(by_position(records)):
        block = float(first + (record.position or 0))
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


def _best(records: list[Record]) -> list[Record]:
    """Return the largest record of each arm and seed."""
    largest: dict[tuple[str, int], Record] = {}
    for record in records:
        known = largest.setdefault((record.arm, record.seed), record)
        if record.value > known.value:
            largest[record.arm, record.seed] = record
    return list(largest.values())


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
            Column(
                "Composite gain after (log10)",
                after_training(ends(of("log10_forward_gain"), max)),
                as_interval,
            ),
            Column("Path length", before_training(of("path_length")), as_size),
            Column(
                "Validation accuracy", at_end(of("validation_accuracy")), as_percent
            ),
            Column(
                "Best validation accuracy",
                _best(of("validation_accuracy")),
                as_percent,
            ),
            Column("Test accuracy", at_end(of("test_accuracy")), as_percent),
        ],
    )
