"""The study of time: recurrent networks with and without gates."""

from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.sections.gradients import (
    GRADIENT,
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
from jaxnets.report.sections.time import plots
from jaxnets.runs.catalogue import MEMORY_TASKS, STUDIES, memory_task
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


def draw(run: Run) -> Section:
    """Return the section of the study `time`."""
    records = run.of_study("time")
    by_task = {
        name: [r for r in records if memory_task(r.arm) == name]
        for name in MEMORY_TASKS
    }
    # The adding problem has all plots, also those without records.
    every = [
        drawn
        for name, found in by_task.items()
        if found or name == "adding"
        for drawn in _plots(name, found)
    ]
    gradients = _hidden_state(of_metric(records, GRADIENT, THEORY))
    adding = by_task["adding"]
    return make_section(
        "time",
        "How much of the gradient reaches the first steps of a sequence, and how do "
        "the gates of GRU and LSTM change that?",
        every,
        _table(records, gradients),
        {record.family for record in records},
        _headline(
            _hidden_state(of_metric(adding, GRADIENT)),
            at_end(of_metric(adding, "solved")),
        ),
    )


def _plots(task: str, records: list[Record]) -> list[tuple[Plot, Spots]]:
    """Return the plots of a task, named after it unless it is the adding problem."""
    gradients = _hidden_state(of_metric(records, GRADIENT, THEORY))
    found: list[tuple[Plot, Spots]] = [
        (plots.BEFORE, _by_steps_back(before_training(gradients))),
        (plots.AFTER, _by_steps_back(after_training(gradients))),
        (plots.LOSS, _by_step(of_metric(records, "validation_loss"))),
        (plots.EXPLORER, _by_steps_back(gradients)),
        (plots.MAP, _by_steps_back(of_metric(gradients, GRADIENT))),
    ]
    # Only tasks with right and wrong answers have an accuracy.
    if accuracies := of_metric(records, "validation_accuracy"):
        found.append((plots.ACCURACY, _by_step(accuracies)))
    if task == "adding":
        return found
    of_task = lambda plot: plot._replace(
        name=f"{plot.name}-{task}", title=f"{plot.title} ({MEMORY_TASKS[task]})"
    )
    return [(of_task(plot), spots) for plot, spots in found]


def _headline(gradients: list[Record], solved: list[Record]) -> Headline | None:
    """Contrast the cells at the longest sequence, after training if there is any."""
    trained = after_training(gradients)
    moment, plot = ("trained", plots.AFTER) if trained else ("untrained", plots.BEFORE)
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
    records = sorted(by_position(records), key=lambda record: record.size)
    last: dict[str, int] = {}
    for record in records:
        last[record.arm] = max(last.get(record.arm, 0), record.position or 0)
    for record in records:
        back = last[record.arm] - (record.position or 0)
        yield record, Spot(float(back), _label(record), role_of(record))


def _name(record: Record) -> str:
    """Name a network after its family and, but for the adding problem, its task."""
    task = memory_task(record.arm)
    named = "" if task == "adding" else f", {MEMORY_TASKS[task]}"
    return f"{record.family}{named}"


def _by_step(records: list[Record]) -> Spots:
    for record in sorted(records, key=lambda record: record.size):
        yield record, Spot(float(record.step), _label(record))


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
            Column(
                "Memory exponent before",
                before_training(of("memory_exponent")),
                as_interval,
            ),
            Column(
                "Memory exponent after",
                after_training(of("memory_exponent")),
                as_interval,
            ),
            Column(
                "Memory exponent in theory",
                before_training(of("predicted_memory_exponent")),
                as_interval,
                " Memory exponent: the power of a unit's memory with which its "
                "sensitivity grows (curse of memory).",
            ),
            Column("Validation loss", at_end(of("validation_loss")), as_size),
            Column(
                "Validation accuracy", at_end(of("validation_accuracy")), as_percent
            ),
            Column("Solved", at_end(of("solved")), as_count),
        ],
        _name,
    )
