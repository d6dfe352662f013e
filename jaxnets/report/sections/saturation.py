"""The study of saturation: activations and the gain of their initialiser."""

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.charts.phase_diagram import make_phase_diagram
from jaxnets.report.sections.gradients import (
    BAND,
    GRADIENT,
    LOG_NORM,
    THEORY,
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
    as_interval,
    as_percent,
    make_section,
    make_table,
)
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.folder import Run
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record
from jaxnets.runs.selection import (
    at_end,
    before_training,
    by_position,
    ends,
    of_metric,
)


PHASES = "Order and chaos: each network in the plane of its activation"
NO_STEP = (
    "A step function has no such plane: its derivative is zero almost everywhere, so "
    "chi_1 is 0 for all variances, and no gradient passes through even one layer."
)


def draw(run: Run) -> Section:
    """Return the section of the study `saturation`."""
    records = run.of_study("saturation")
    shares = before_training(of_metric(records, "saturated_share"))
    gradients = before_training(of_metric(records, GRADIENT, THEORY, *BAND))
    found = make_section(
        "saturation",
        "How do saturation and the gradient depend on the activation, and on the gain "
        "that scales the initial weights?",
        [(_SHARE, _by_layer(shares)), (_GRADIENT, _by_layer(gradients))],
        _table(records, shares, gradients),
        {record.family for record in records},
        _headline(shares),
    )
    phases = make_phase_diagram(
        "saturation", PHASES, records, "log_chi_1", lambda record: record.family
    )
    if phases is None:
        return found._replace(absent=[*found.absent, PHASES])
    plot = phases.plot._replace(reading=f"{phases.plot.reading} {NO_STEP}")
    return found._replace(figures=[*found.figures, phases._replace(plot=plot)])


def _headline(shares: list[Record]) -> Headline | None:
    """Name the network with the most saturated units, except ReLU's zeros."""
    means = {
        (family, gain): over_seeds(
            r for r in shares if (r.family, r.size) == (family, gain)
        )
        for family, gain in {(r.family, r.size) for r in shares if r.family != "ReLU"}
    }
    found = {network: mean.mean for network, mean in means.items() if mean}
    if not found:
        return None
    family, gain = max(found, key=lambda network: found[network])
    sentence = f"of the {family} units are saturated at gain {gain:g}"
    others = {size: found[name, size] for name, size in found if name == family}
    least = min(others, key=lambda size: others[size])
    if least != gain:
        sentence += f"; at gain {least:.3g} it is {100 * others[least]:.2g} %"
    number = f"{100 * found[family, gain]:.2g} %"
    return Headline(number, f"{sentence}.", _SHARE.name, f"{family}, gain {gain:g},")


def _by_layer(records: list[Record]) -> Spots:
    for record in sorted(by_position(records), key=lambda record: record.size):
        layer = float((record.position or 0) + 1)
        yield record, Spot(layer, f"gain {record.size:.3g}", role_of(record))


_LAYER = "hidden layer, counted from the input"
_SHARE = Plot(
    "saturated-share",
    "Share of saturated units by layer, before training",
    "At 100 % the layer is stuck. A ReLU counts as saturated if its output is exactly "
    "zero, which is normal for half of them.",
    Axes(_LAYER, "saturated share", bounds=SHARE, share=True),
)
_GRADIENT = Plot(
    "gradient-by-layer",
    "Gradient by layer, before training",
    "A line that falls to the left is a gradient that shrinks on its way to the input. "
    "Dashed: theory's prediction.",
    Axes(_LAYER, LOG_NORM),
)


def _table(
    records: list[Record], shares: list[Record], gradients: list[Record]
) -> Table | None:
    of = lambda metric: of_metric(records, metric)
    return make_table(
        "saturation",
        "Mean and interval over seeds. The share is the mean of all layers, the "
        "gradient is log10 of the norm at the first layer.",
        "Gain",
        records,
        [
            Column("Saturated share", shares, as_percent),
            Column("Gradient", ends(of_metric(gradients, GRADIENT)), as_interval),
            misfit_column(gradients),
            inside_column("Layers inside theory's band", gradients),
            Column(
                "Validation accuracy", at_end(of("validation_accuracy")), as_percent
            ),
            Column("Test accuracy", at_end(of("test_accuracy")), as_percent),
        ],
    )
