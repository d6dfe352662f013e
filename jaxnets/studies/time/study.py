"""Time: recurrent against gated networks on tasks that need a long memory.

RNN, GRU and LSTM with matched initialisers learn the adding problem at several lengths.
At the scales of an hour and of an accelerator there are also an orthogonal RNN, an LSTM
with chrono initialisation and a minGRU, and two more tasks: copying symbols, and digits
read pixel by pixel with blank steps after them. The study measures how much of the
gradient reaches each time step, before and during training.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxnets import functional as F
from jaxnets import gradflow, training
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder, log10, recorded_steps
from jaxnets.studies.time.families import (
    FAMILIES,
    Family,
    initial_state,
    make_network,
)
from jaxnets.studies.time.memory import memory_exponents
from jaxnets.studies.time.prediction import (
    SEQUENCES,
    gated_slope,
    min_gru_profile,
    rnn_slope,
)
from jaxnets.studies.time.settings import SCALES, Row
from jaxnets.studies.time.tasks import TASKS, Task
from jaxnets.studies.training_run import Trained, train


INITIALISER = (
    "All networks: every weight uniform in ±1 / sqrt(H), as in PyTorch's recurrent "
    "layers, so that an RNN and one gate of a GRU or an LSTM start alike; biases zero, "
    "except for the forget bias of the LSTM, which is 1. The orthogonal RNN has an "
    "orthogonal recurrent matrix; with chrono initialisation (Tallec and Ollivier "
    "2018) the forget biases of the LSTM spread its time scales over the sequence."
)
NOTES = (
    "Theory's line is mean-field theory: for the RNN from the variances of its weights "
    "and inputs, for GRU and LSTM from the values of their gates in a forward pass. In "
    "a minGRU the gates alone carry the gradient, so its line is exact but for the "
    "gradient of the read-out, which is taken as equal in all units.",
    "Copying: ten symbols have to be repeated in the last ten steps, and only these "
    "answers count. Digits: 64 pixels, one a step, and then blank steps.",
    "Solved means a test loss below a tenth of the loss without memory, which is 1/6 "
    "on the adding problem, ln 8 nats on copying and ln 10 nats on digits.",
    "Curse of memory (Zucchet and Orvieto 2024): the sensitivity of a unit's state to "
    "its memory gate grows as a power of its memory, measured over the units of a "
    "network through their own past. For white noise as input theory says 3/2, and 1/2 "
    "where a unit that remembers longer takes in less of its input, as in GRU and "
    "minGRU, and in the LSTM with chrono initialisation. Inputs that resemble those "
    "before them add up to 1/2. The power for the bias of the gate is 1 less: this is "
    "how gates escape. Networks whose units have similar memories have no exponent.",
)
# The share of the loss without memory below which a task counts as solved.
SOLVED = 0.1
EVALUATED_SEQUENCES = 256
# A row without training has so many sequences.
LOOK_SEQUENCES = 4
# At most this many time steps are recorded during training; before and after it, all.
POSITIONS_IN_BETWEEN = 128


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: each cell on each task. The data needs no file.

    The name of an arm has that of its task, unless it is the adding problem.
    """
    del dataset
    settings = SCALES[scale]
    return [
        Arm(
            "time",
            arm_name(family, row.task, row.length),
            family,
            row.length,
            {"row": row._asdict(), "scale": scale},
        )
        for row in settings.rows
        for family in settings.families
    ]


def arm_name(family: str, task: str, length: int) -> str:
    """Return the name of an arm, from which `memory_task` reads the task."""
    named = "" if task == "adding" else f"{task}-"
    return f"{family.lower().replace(', ', '-')}-{named}{length}"


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Train the networks of `arm` for all seeds and record how their gradients flow."""
    settings = SCALES[arm.settings["scale"]]
    row = Row(**arm.settings["row"])
    family, task, length = FAMILIES[arm.family], TASKS[row.task], row.length
    evaluated, epochs = EVALUATED_SEQUENCES, row.epochs
    if not epochs:
        evaluated, epochs = LOOK_SEQUENCES, 1
        settings = dataclasses.replace(settings, steps=1, batch_size=evaluated)
    validation, test = (
        task.draw(training.random_key(seed), evaluated, length, split)
        for seed, split in ((1001, "validation"), (1002, "test"))
    )
    features = validation.x.shape[-1]
    trained = train(
        lambda rngs: make_network(
            family, task, features, settings.hidden, length, rngs
        ),
        task.loss,
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(settings.learning_rate)),
        training.generated(
            lambda key, count: task.draw(key, count, length, "train"),
            settings.steps,
            settings.batch_size,
        ),
        {"validation": validation},
        test=test,
        seeds=seeds,
        epochs=epochs,
        on_epoch=on_epoch,
        watch=functools.partial(_watch, family),
    )
    recorder = Recorder(arm, seeds)
    figures = ("loss",) if task.loss is training.regression else ("loss", "accuracy")
    trained.record_curves(recorder, figures=figures)
    if trained.history is not None:
        _record_flow(recorder, family, trained.history)
        at_start = trained.history.reports.watched["norm"][:, 0]
        _record_theory(
            recorder, family, task, settings.hidden, trained, at_start, validation.x
        )
        _record_lyapunov(recorder, family, trained, validation.x[0])
        _record_memory(recorder, family, trained, validation.x[:SEQUENCES])
    if trained.history is not None and not trained.message and row.epochs:
        last = trained.history.reports.loss.shape[1]
        solved = trained.test["loss"] < SOLVED * task.baseline
        recorder.scalar("solved", solved, step=last)
    return trained.outcome(recorder)


def _watch(family: Family, taps: dict, responses: dict) -> dict[str, jax.Array]:
    """Return the gradient norm at every step, and the mean of the memory gate."""
    watched = {"norm": taps[f"{family.scope}/h"].norm}
    if family.gate:
        watched["gate"] = responses[f"{family.scope}/{family.gate}"].mean
    return watched


def _record_flow(recorder: Recorder, family: Family, history: training.History) -> None:
    """Record the gradient at the time steps, and the timescale of the memory gate."""
    norms = history.reports.watched["norm"]
    length = norms.shape[-1]
    places = ["h"] * length
    steps = recorded_steps(norms.shape[1], history.steps_per_epoch)
    stride = math.ceil(length / POSITIONS_IN_BETWEEN)
    # Counted from the end of the sequence, where the loss is taken.
    some = range((length - 1) % stride, length, stride)
    for step in steps:
        recorder.profile(
            "log10_gradient_norm",
            log10(norms[:, step]),
            step=step,
            places=places,
            positions=None if step in (steps[0], steps[-1]) else some,
        )
    if family.gate:
        gate, means = family.gate, history.reports.watched["gate"]
        for step in sorted({0, norms.shape[1] - 1}):
            # One number for each network: from the mean gate over units, batch, time.
            tau = gradflow.gate_timescales(means[:, step].T)
            recorder.scalar("gate_timescale", tau, step=step, place=gate)


def _record_theory(
    recorder: Recorder,
    family: Family,
    task: Task,
    hidden: int,
    trained: Trained,
    norms,
    xs,
) -> None:
    """Record the line that theory predicts before training, up to the first answer."""
    length = norms.shape[-1] - task.answers + 1
    back = np.arange(length - 1, -1, -1)
    if not family.gate:
        profile = back * rnn_slope(family.weight_variance, hidden, xs)
    else:
        params = _recurrent_params(trained, trained.program.initial)
        profile = (
            min_gru_profile(params, xs[:, :length])
            if isinstance(params, F.MinGRUParams)
            else back * gated_slope(params, xs, family.weight_variance)
        )
    line = log10(norms[:, length - 1]).mean() + profile / np.log(10)
    recorder.prediction("predicted_log10_gradient_norm", line, places=["h"] * length)


def _recurrent_params(trained: Trained, state: training.TrainState):
    """Return the parameters of the recurrent layer, with a leading axis of seeds."""
    graphdef = trained.program.graphdef
    return nnx.merge(graphdef, state.params, state.rest, copy=True).recurrent.params


def _record_memory(recorder: Recorder, family: Family, trained: Trained, xs) -> None:
    """Record the exponent of the curse of memory where the units' memories differ."""
    if family.memory_exponent is None:
        return
    for step, state in _both_ends(trained):
        found = memory_exponents(_recurrent_params(trained, state), xs)
        predicted = np.full_like(found, family.memory_exponent)
        has = ~np.isnan(found)
        recorder.scalar("memory_exponent", found, step=step, where=has)
        recorder.scalar("predicted_memory_exponent", predicted, step=step, where=has)


def _both_ends(trained: Trained):
    """Return the states before and after training, each after its number of updates."""
    steps = 0 if trained.history is None else trained.history.reports.loss.shape[1]
    return (0, trained.program.initial), (steps, trained.state)


def _record_lyapunov(
    recorder: Recorder, family: Family, trained: Trained, xs: jax.Array
) -> None:
    """Record the largest Lyapunov exponent on a sequence, before and after training."""

    def largest(state: training.TrainState) -> jax.Array:
        graphdef = trained.program.graphdef
        model = nnx.merge(graphdef, state.params, state.rest, copy=True)
        params = model.recurrent.params
        step = functools.partial(family.step, params)
        start = initial_state(family, jnp.zeros(model.output.kernel.shape[0]))
        return gradflow.lyapunov_spectrum(step, start, xs, count=1)[0]

    every = jax.jit(lambda states: jax.lax.map(largest, states))
    for step, state in _both_ends(trained):
        recorder.scalar("lyapunov_exponent", every(state), step=step)
