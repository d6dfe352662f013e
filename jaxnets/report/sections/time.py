"""The study of time: recurrent against gated networks."""

from jaxnets.report.charts.axes import MEASURED, PREDICTED, Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.intervals import NOT_NEGATIVE, SHARE
from jaxnets.report.sections.section import (
    Column,
    Section,
    Spots,
    as_count,
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


def time_section(records: list[Record]) -> Section:
    """Return the section of the study `time` from its records."""
    gradients = _hidden_state(of_metric(records, GRADIENT, THEORY))
    plots: list[tuple[Plot, Spots]] = [
        (_BEFORE, _steps_back(before_training(gradients))),
        (_AFTER, _steps_back(after_training(gradients))),
        (_EXPLORER, _steps_back(gradients)),
        (_MAP, _steps_back(of_metric(gradients, GRADIENT))),
        (_LOSS, _over_updates(of_metric(records, "validation_loss"))),
    ]
    # Not every task has right and wrong answers.
    if accuracies := of_metric(records, "validation_accuracy"):
        plots.append((_ACCURACY, _over_updates(accuracies)))
    return make_section(
        "time",
        "Time: recurrent and gated networks",
        "How much gradient still arrives at the first steps of a sequence, and what do "
        "the gates of GRU and LSTM change? Without it a network cannot learn that "
        "something early matters late.",
        plots,
        _table(records, gradients),
        {record.family for record in records},
    )


def _hidden_state(records: list[Record]) -> list[Record]:
    """Keep the taps on `h`, where there are such, beside those on cells and gates."""
    hidden = [r for r in records if r.place.split("/")[-1] in ("h", "")]
    return hidden or records


def _label(record: Record) -> str:
    return f"length {record.size:g}"


def _steps_back(records: list[Record]) -> Spots:
    """Put each record as many steps from the end of its sequence as it lies back."""
    last = {(r.arm, r.metric): r.position or 0 for r in ends(records, max)}
    for record in sorted(by_position(records), key=lambda record: record.size):
        back = last[record.arm, record.metric] - (record.position or 0)
        role = PREDICTED if record.metric == THEORY else MEASURED
        yield record, Spot(float(back), _label(record), role)


def _over_updates(records: list[Record]) -> Spots:
    for record in sorted(records, key=lambda record: record.size):
        yield record, Spot(float(record.step), _label(record))


_BACK = "steps back from the end"
_LOG_NORM = "gradient norm (log10)"
_BEFORE = Plot(
    "gradient-by-time-step-before",
    "Gradient by time step, before training",
    "The loss is read at the end of the sequence, at the left; each step to the right "
    "is one step further into the past. A straight line that falls is exponential "
    "forgetting. Dashed: what theory expects.",
    Axes(_BACK, _LOG_NORM),
)
_AFTER = Plot(
    "gradient-by-time-step-after",
    "Gradient by time step, after training",
    "The same after training. A network that learnt the task has lifted the right end "
    "of its line, where the early steps are.",
    Axes(_BACK, _LOG_NORM),
)
_EXPLORER = Plot(
    "gradient-explorer",
    "Gradient by time step, at any moment",
    "Choose networks, length and training step; point at a line to read its values. "
    "Theory's line stands before training only, at the left end of the slider. The "
    "vertical axis stays the same for all choices.",
    Axes(_BACK, _LOG_NORM),
    kind="explorer",
    size="length",
)
_MAP = Plot(
    "gradient-over-training",
    "Gradient by time step, over training",
    "Training goes from left to right, one column for each recorded update and closest "
    "at its start; upwards it goes back into the past. Dark cells get little gradient: "
    "a network that learns to remember lights up from the bottom to the top.",
    Axes(_BACK, _LOG_NORM),
    kind="heat map",
    size="length",
)
_LOSS = Plot(
    "validation-loss",
    "Learning: validation loss",
    "Lower is better. A network that remembers nothing can still answer the mean. On "
    "the adding problem that gives a mean squared error of 1/6 ≈ 0.167, on copying T "
    "steps later a loss of 10 ln 8 / (T + 20) nats: a line that stays at this baseline "
    "has learnt no memory.",
    Axes("updates", "validation loss", bounds=NOT_NEGATIVE, log=True),
)
_ACCURACY = Plot(
    "validation-accuracy",
    "Learning: validation accuracy",
    "Share of held-out sequences that are answered rightly. Higher and earlier is "
    "better.",
    Axes("updates", "validation accuracy", bounds=SHARE, share=True),
)


def _table(records, gradients):
    measured = of_metric(gradients, GRADIENT)
    start = before_training(gradients)
    predicted = {(r.family, r.size) for r in of_metric(start, THEORY)}
    return make_table(
        "time",
        "Mean and interval over seeds. Gradients are log10 of "
        "the norm at the first time step.",
        "Length",
        records,
        [
            Column("Gradient before", ends(before_training(measured)), as_interval),
            Column("Gradient after", ends(after_training(measured)), as_interval),
            Column(
                "Misfit of theory (decades)",
                [r for r in start if (r.family, r.size) in predicted],
                as_misfit,
            ),
            Column(
                "Gate timescale (steps)",
                before_training(of_metric(records, "gate_timescale")),
                as_size,
            ),
            Column(
                "Lyapunov exponent (nats a step)",
                before_training(of_metric(records, "lyapunov_exponent")),
                as_interval,
            ),
            Column(
                "Validation loss",
                at_end(of_metric(records, "validation_loss")),
                as_size,
            ),
            Column(
                "Validation accuracy",
                at_end(of_metric(records, "validation_accuracy")),
                as_percent,
            ),
            Column("Solved", at_end(of_metric(records, "solved")), as_count),
        ],
    )
