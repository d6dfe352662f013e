"""The study of time: recurrent networks with and without gates."""

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
    as_count,
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
    """Return the section of the study `time`."""
    records = run.of_study("time")
    gradients = _hidden_state(of_metric(records, GRADIENT, THEORY))
    plots: list[tuple[Plot, Spots]] = [
        (_BEFORE, _by_steps_back(before_training(gradients))),
        (_AFTER, _by_steps_back(after_training(gradients))),
        (_LOSS, _by_step(of_metric(records, "validation_loss"))),
        (_EXPLORER, _by_steps_back(gradients)),
        (_MAP, _by_steps_back(of_metric(gradients, GRADIENT))),
    ]
    # Only tasks with right and wrong answers have an accuracy.
    if accuracies := of_metric(records, "validation_accuracy"):
        plots.append((_ACCURACY, _by_step(accuracies)))
    return make_section(
        "time",
        "How much of the gradient reaches the first steps of a sequence, and how do "
        "the gates of GRU and LSTM change that?",
        plots,
        _table(records, gradients),
        {record.family for record in records},
        _headline(of_metric(gradients, GRADIENT), at_end(of_metric(records, "solved"))),
    )


def _headline(gradients: list[Record], solved: list[Record]) -> Headline | None:
    """Contrast the cells at the longest sequence, after training if there is any."""
    trained = after_training(gradients)
    moment, plot = ("trained", _AFTER) if trained else ("untrained", _BEFORE)
    found = trained or before_training(gradients)
    length = max((record.size for record in found), default=0.0)
    arrivals = {name: arrival(found, name, length) for name in STUDIES["time"].families}
    shares = {
        name: format_power_of_ten(share)
        for name, share in arrivals.items()
        if share is not None
    }
    if not shares:
        return None
    (first, number), *others = shares.items()
    sentence = (
        f"of the gradient reaches the first of {length:g} time steps in the {moment} "
        f"{first}" + "".join(f", {share} in the {name}" for name, share in others)
    )
    means = {
        name: over_seeds(r for r in solved if (r.family, r.size) == (name, length))
        for name in shares
    }
    winners = [name for name, mean in means.items() if mean and mean.mean > 0.5]
    if winners:
        sentence += f"; solved by the {' and the '.join(winners)}"
    subject = f"{first}, {length:g} time steps"
    return Headline(number, f"{sentence}.", plot.name, subject)


def _hidden_state(records: list[Record]) -> list[Record]:
    """Return the records of the hidden state `h`, or all if no tap is named `h`."""
    # Layers also place taps on cells and gates.
    hidden = [r for r in records if r.place.split("/")[-1] in ("h", "")]
    return hidden or records


def _label(record: Record) -> str:
    return f"length {record.size:g}"


def _by_steps_back(records: list[Record]) -> Spots:
    """Draw each record at its number of steps back from the end of its sequence."""
    last = {(r.arm, r.metric): r.position or 0 for r in ends(records, max)}
    for record in sorted(by_position(records), key=lambda record: record.size):
        back = last[record.arm, record.metric] - (record.position or 0)
        yield record, Spot(float(back), _label(record), role_of(record))


def _by_step(records: list[Record]) -> Spots:
    for record in sorted(records, key=lambda record: record.size):
        yield record, Spot(float(record.step), _label(record))


_BACK = "steps back from the end"
_BEFORE = Plot(
    "gradient-by-time-step-before",
    "Gradient by time step, before training",
    "The loss is at the left, and the past at the right. A straight line that falls is "
    "exponential forgetting. Dashed: theory's prediction.",
    Axes(_BACK, LOG_NORM),
)
_AFTER = Plot(
    "gradient-by-time-step-after",
    "Gradient by time step, after training",
    "In a network that has learnt the task, the right end of the line, where the early "
    "steps are, lies higher than before.",
    Axes(_BACK, LOG_NORM),
)
_EXPLORER = Plot(
    "gradient-explorer",
    "Gradient by time step, at any moment",
    "Choose networks, length and training step; point at a line to read its values. "
    "Theory's line is shown only before training, at the left end of the slider. The "
    "vertical axis is the same for all choices.",
    Axes(_BACK, LOG_NORM),
    kind="explorer",
    size="length",
)
_MAP = Plot(
    "gradient-over-training",
    "Gradient by time step, over training",
    "Training goes from left to right, with one column for each recorded update; more "
    "of them are recorded at the start. The end of the sequence is at the bottom, the "
    "past at the top. Dark cells get little gradient: a network that learns to "
    "remember lights up from the bottom to the top.",
    Axes(_BACK, LOG_NORM),
    kind="heat map",
    size="length",
)
_LOSS = Plot(
    "validation-loss",
    "Learning: validation loss",
    "Lower is better. A network that remembers nothing can still predict the mean. "
    "That gives a mean squared error of 1/6 ≈ 0.167 on the adding problem, and a loss "
    "of 10 ln 8 / (T + 20) nats on copying over T steps. A line that stays at this "
    "baseline belongs to a network that has not learnt to remember.",
    Axes("updates", "validation loss", bounds=NOT_NEGATIVE, log=True),
)
_ACCURACY = Plot(
    "validation-accuracy",
    "Learning: validation accuracy",
    "Share of held-out sequences with a correct answer. Higher and earlier is better.",
    Axes("updates", "validation accuracy", bounds=SHARE, share=True),
)


def _table(records: list[Record], gradients: list[Record]) -> Table | None:
    of = lambda metric: of_metric(records, metric)
    measured = of_metric(gradients, GRADIENT)
    return make_table(
        "time",
        "Mean and interval over seeds. Gradients are log10 of the norm at the first "
        "time step.",
        "Length",
        records,
        [
            Column("Gradient before", ends(before_training(measured)), as_interval),
            Column("Gradient after", ends(after_training(measured)), as_interval),
            misfit_column(before_training(gradients)),
            Column(
                "Gate timescale (steps)", before_training(of("gate_timescale")), as_size
            ),
            Column(
                "Lyapunov exponent (nats per step)",
                before_training(of("lyapunov_exponent")),
                as_interval,
            ),
            Column("Validation loss", at_end(of("validation_loss")), as_size),
            Column(
                "Validation accuracy", at_end(of("validation_accuracy")), as_percent
            ),
            Column("Solved", at_end(of("solved")), as_count),
        ],
    )
