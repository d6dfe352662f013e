"""The study of saturation: activations and the gain of their initialiser."""

from jaxnets.records import Record
from jaxnets.report.axes import MEASURED, PREDICTED, Axes
from jaxnets.report.figures import Plot, Spot
from jaxnets.report.intervals import SHARE
from jaxnets.report.sections import (
    Column,
    Section,
    Spots,
    as_interval,
    as_misfit,
    as_percent,
    section,
    table,
)
from jaxnets.report.selection import (
    at_end,
    before_training,
    by_position,
    ends,
    of_metric,
)


GRADIENT = "log10_gradient_norm"
THEORY = "predicted_log10_gradient_norm"


def saturation_section(records: list[Record]) -> Section:
    """Return the section of the study `saturation` from its records."""
    shares = before_training(of_metric(records, "saturated_share"))
    gradients = before_training(of_metric(records, GRADIENT, THEORY))
    return section(
        "saturation",
        "Saturation: activations and gain",
        "A saturated unit stands on the flat part of its activation, where the "
        "derivative is almost zero, and lets no gradient through. How does that depend "
        "on the activation, and on the gain by which the first weights are scaled?",
        [(_SHARE, _layers(shares)), (_GRADIENT, _layers(gradients))],
        _table(records, shares, gradients),
        {record.family for record in records},
    )


def _layers(records: list[Record]) -> Spots:
    for record in sorted(by_position(records), key=lambda record: record.size):
        role = PREDICTED if record.metric == THEORY else MEASURED
        layer = float(record.position or 0)
        yield record, Spot(layer, f"gain {record.size:.3g}", role)


_LAYER = "layer, counted from the input"
_SHARE = Plot(
    "saturated-share",
    "Share of saturated units by layer, before training",
    "At 0 % every unit can still be taught; at 100 % the layer is stuck. For ReLU a "
    "unit counts while its output is exactly zero, for which half is normal.",
    Axes(_LAYER, "saturated share", bounds=SHARE, share=True),
)
_GRADIENT = Plot(
    "gradient-by-layer",
    "Gradient by layer, before training",
    "As for depth: a line that falls to the left loses gradient on its way to the "
    "input. Too small a gain starves it, and too large a gain saturates the units.",
    Axes(_LAYER, "gradient norm (log10)"),
)


def _table(records, shares, gradients):
    predicted = {(r.family, r.size) for r in of_metric(gradients, THEORY)}
    return table(
        "saturation",
        "Mean and interval over seeds. The share is the "
        "mean of all layers, the gradient log10 of the norm at the first layer.",
        "Gain",
        records,
        [
            Column("Saturated share", shares, as_percent),
            Column("Gradient", ends(of_metric(gradients, GRADIENT)), as_interval),
            Column(
                "Misfit of theory (decades)",
                [r for r in gradients if (r.family, r.size) in predicted],
                as_misfit,
            ),
            Column(
                "Validation accuracy",
                at_end(of_metric(records, "validation_accuracy")),
                as_percent,
            ),
            Column(
                "Test accuracy", at_end(of_metric(records, "test_accuracy")), as_percent
            ),
        ],
    )
