"""The study of saturation: activations and the gain of their initialiser."""

from jaxnets.report.charts import lines
from jaxnets.report.charts.axes import MEASURED, PREDICTED, Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.charts.phase_diagram import make_phase_diagram
from jaxnets.report.intervals import SHARE
from jaxnets.report.sections.section import (
    Column,
    Section,
    Spots,
    as_inside,
    as_interval,
    as_misfit,
    as_percent,
    make_section,
    make_table,
)
from jaxnets.runs.records import Record
from jaxnets.runs.selection import (
    at_end,
    before_training,
    by_position,
    ends,
    of_metric,
)


GRADIENT = "log10_gradient_norm"
THEORY = "predicted_log10_gradient_norm"
PHASES = "Order and chaos: each network in the plane of its activation"
NO_STEP = (
    "A step function has no such plane: its derivative is zero almost everywhere, so "
    "chi_1 is 0 whatever the variances, and no gradient passes even one layer."
)
BAND = tuple(f"{start}{GRADIENT}" for start in lines.BAND_PREFIXES.values())


def saturation_section(records: list[Record]) -> Section:
    """Return the section of the study `saturation` from its records."""
    shares = before_training(of_metric(records, "saturated_share"))
    gradients = before_training(of_metric(records, GRADIENT, THEORY, *BAND))
    found = make_section(
        "saturation",
        "Saturation: activations and gain",
        "A saturated unit stands on the flat part of its activation, where the "
        "derivative is almost zero, and lets no gradient through. How does that depend "
        "on the activation, and on the gain by which the first weights are scaled?",
        [(_SHARE, _layers(shares)), (_GRADIENT, _layers(gradients))],
        _table(records, shares, gradients),
        {record.family for record in records},
    )
    phases = make_phase_diagram(
        "saturation", PHASES, records, "log_chi_1", lambda record: record.family
    )
    if phases is None:
        return found._replace(absent=[*found.absent, PHASES])
    plot = phases.plot._replace(reading=f"{phases.plot.reading} {NO_STEP}")
    return found._replace(figures=[*found.figures, phases._replace(plot=plot)])


def _layers(records: list[Record]) -> Spots:
    for record in sorted(by_position(records), key=lambda record: record.size):
        role = MEASURED if record.metric not in (THEORY, *BAND) else PREDICTED
        layer = float((record.position or 0) + 1)
        yield record, Spot(layer, f"gain {record.size:.3g}", role)


_LAYER = "hidden layer, counted from the input"
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
    banded = {(r.family, r.size) for r in of_metric(gradients, *BAND)}
    return make_table(
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
                "Layers inside theory's band",
                [r for r in gradients if (r.family, r.size) in banded],
                as_inside,
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
