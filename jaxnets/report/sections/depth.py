"""The study of depth: plain against residual networks."""

from jaxnets.report.charts import lines
from jaxnets.report.charts.axes import MEASURED, PREDICTED, Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.intervals import NOT_NEGATIVE, SHARE
from jaxnets.report.sections.section import (
    Column,
    Section,
    Spots,
    as_inside,
    as_interval,
    as_misfit,
    as_percent,
    as_size,
    make_section,
    make_table,
)
from jaxnets.runs.records import Record
from jaxnets.runs.selection import (
    after_training,
    at_end,
    before_training,
    by_position,
    ends,
    of_metric,
)


GRADIENT = "log10_gradient_norm"
THEORY = "predicted_log10_gradient_norm"
BAND = tuple(f"{start}{GRADIENT}" for start in lines.BAND_PREFIXES.values())
LOG_NORM = "gradient norm (log10)"


def depth_section(records: list[Record]) -> Section:
    """Return the section of the study `depth` from its records."""
    measured = of_metric(records, GRADIENT)
    gradients = of_metric(records, GRADIENT, THEORY, *BAND)
    plots: list[tuple[Plot, Spots]] = [
        (_BY_BLOCK, _blocks(before_training(gradients))),
        (_FIRST_LAYER, _against_depth(ends(measured))),
        (_EXPLORER, _blocks(gradients)),
        (_MAP, _blocks(measured)),
        (_DURING, _over_steps(ends(measured))),
        (_RESPONSE, _blocks(before_training(of_metric(records, "response_std")))),
        *(
            (plot, _against_depth(before_training(of_metric(records, metric))))
            for plot, metric in (
                (_CORRELATION, "gradient_correlation"),
                (_PATH_LENGTH, "path_length"),
            )
        ),
        (_ACCURACY, _over_steps(of_metric(records, "validation_accuracy"))),
        (_LOSS, _over_steps(of_metric(records, "validation_loss"))),
        (_TEST, _final(of_metric(records, "test_accuracy"))),
    ]
    return make_section(
        "depth",
        "Depth: plain and residual networks",
        "What happens to the gradient on its way from the loss back to the first "
        "layer when a network gets deeper, and what do shortcut connections and batch "
        "normalisation change?",
        plots,
        _table(records, measured, gradients),
        {record.family for record in records},
    )


def _label(record: Record) -> str:
    return f"depth {record.size:g}"


def _sorted(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.size)


def _blocks(records: list[Record]) -> Spots:
    """Put each record at its block, in the panel of its depth."""
    for record in _sorted(by_position(records)):
        role = MEASURED if record.metric not in (THEORY, *BAND) else PREDICTED
        yield record, Spot(float(record.position or 0), _label(record), role)


def _over_steps(records: list[Record]) -> Spots:
    for record in _sorted(records):
        yield record, Spot(float(record.step), _label(record))


def _against_depth(records: list[Record]) -> Spots:
    for title, found in (
        ("before training", before_training(records)),
        ("after training", after_training(records)),
    ):
        for record in found:
            yield record, Spot(record.size, title)


def _final(records: list[Record]) -> Spots:
    for record in at_end(records):
        yield record, Spot(record.size)


_BY_BLOCK = Plot(
    "gradient-by-block",
    "Gradient by block, before training",
    "The signal travels from right (the loss) to left (the input): a line that falls "
    "to the left loses gradient on the way. Each unit down is a factor of ten. Dashed: "
    "what theory expects, from the last block back. 0 is the stem, the first layer.",
    Axes("block, counted from the input", LOG_NORM),
)
_EXPLORER = Plot(
    "gradient-explorer",
    "Gradient by block, at any moment",
    "Choose networks, depth and training step; point at a line to read its values. "
    "Theory's line, and its band between dotted edges, stand before training only, at "
    "the left end of the slider. The vertical axis stays the same for all choices.",
    Axes("block, counted from the input", LOG_NORM),
    kind="explorer",
    size="depth",
)
_MAP = Plot(
    "gradient-over-training",
    "Gradient by block, over training",
    "Training goes from left to right, one column for each recorded update and closest "
    "at its start; the input is at the bottom, the loss at the top. Dark cells get "
    "little gradient: a bottom that stays dark is not taught.",
    Axes("block, counted from the input", LOG_NORM),
    kind="heat map",
    size="depth",
)
_DURING = Plot(
    "gradient-during-training",
    "Gradient at the first layer during training",
    "A line that stays level keeps teaching the first layer; a line far down means "
    "that the first layer hardly changes.",
    Axes("updates", LOG_NORM),
)
_RESPONSE = Plot(
    "response-by-block",
    "Scale of the responses by block, before training",
    "Standard deviation of what each block puts out. Healthy networks keep it of the "
    "same order from block to block; one that grows or dies out forwards does the like "
    "to gradients backwards.",
    Axes(
        "block, counted from the input",
        "standard deviation",
        bounds=NOT_NEGATIVE,
        log=True,
    ),
)
_ACCURACY = Plot(
    "validation-accuracy",
    "Learning: validation accuracy",
    "Share of held-out examples that are named rightly. Higher and earlier is better.",
    Axes("updates", "validation accuracy", bounds=SHARE, share=True),
)
_LOSS = Plot(
    "validation-loss",
    "Learning: validation loss",
    "Cross-entropy on held-out examples, in nats. Lower is better; a line that stays "
    "level from the start belongs to a network that does not learn.",
    Axes("updates", "validation loss (nats)", bounds=NOT_NEGATIVE, log=True),
)

_FIRST_LAYER = Plot(
    "first-layer-gradient",
    "Gradient at the first layer, against depth",
    "A line that falls to the right: the deeper the network, the less gradient "
    "reaches its first layer. A straight line on this scale is exponential decay.",
    Axes("depth (layers)", LOG_NORM, bars=True),
)

_CORRELATION = Plot(
    "gradient-correlation",
    "Likeness of the gradients of similar inputs",
    "1: similar inputs ask for the same change of the weights. 0: their gradients "
    "look like noise to each other (shattered gradients), and training averages "
    "them away.",
    Axes(
        "depth (layers)",
        "gradient correlation",
        bounds=(-1.0, 1.0),
        bars=True,
    ),
)

_PATH_LENGTH = Plot(
    "path-length",
    "Effective path length of the gradient",
    "How many blocks the gradient really passes through on its way, on average. "
    "In a plain network that is all of them; shortcut connections let most of it "
    "take short paths.",
    Axes(
        "depth (layers)",
        "blocks passed",
        bounds=NOT_NEGATIVE,
        bars=True,
    ),
)

_TEST = Plot(
    "test-accuracy",
    "Test accuracy, against depth",
    "Accuracy on examples that nothing was chosen by. If depth only helped, no "
    "line would fall to the right.",
    Axes(
        "depth (layers)",
        "test accuracy",
        bounds=SHARE,
        share=True,
        bars=True,
    ),
)


def _table(records, measured, gradients):
    start = before_training(gradients)
    predicted = {(r.family, r.size) for r in of_metric(start, THEORY)}
    banded = {(r.family, r.size) for r in of_metric(start, *BAND)}
    return make_table(
        "depth",
        "Mean and interval over seeds. Gradients are log10 of "
        "the norm at the first layer.",
        "Depth",
        records,
        [
            Column("Gradient before", before_training(ends(measured)), as_interval),
            Column("Gradient after", after_training(ends(measured)), as_interval),
            Column(
                "Misfit of theory (decades)",
                [r for r in start if (r.family, r.size) in predicted],
                as_misfit,
            ),
            Column(
                "Blocks inside theory's band",
                [r for r in start if (r.family, r.size) in banded],
                as_inside,
            ),
            Column(
                "Gradient correlation",
                before_training(of_metric(records, "gradient_correlation")),
                as_interval,
            ),
            Column(
                "Path length",
                before_training(of_metric(records, "path_length")),
                as_size,
            ),
            *(
                Column(title, at_end(of_metric(records, metric)), as_percent)
                for title, metric in (
                    ("Validation accuracy", "validation_accuracy"),
                    ("Test accuracy", "test_accuracy"),
                )
            ),
        ],
    )
