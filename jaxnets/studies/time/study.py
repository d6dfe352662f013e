"""Time: recurrent against gated networks on a task that needs a long memory.

RNN, GRU and LSTM with matched initialisers learn the adding problem at several lengths.
At the scale of an hour there are also an orthogonal RNN, an LSTM with chrono
initialisation and a minGRU, and sequences that are only looked at. The study measures
how much of the gradient reaches each time step, before and during training.
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
from jaxnets.data import adding_problem
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder, log10, recorded_steps
from jaxnets.studies.time.families import (
    FAMILIES,
    MATCHED,
    Family,
    initial_state,
    make_network,
)
from jaxnets.studies.time.prediction import gated_slope, min_gru_profile, rnn_slope
from jaxnets.studies.training_run import Trained, train


@dataclasses.dataclass(frozen=True)
class TimeSettings:
    """The size of the study.

    Attributes:
        lengths: Numbers of time steps of the sequences.
        hidden: Number of units of the recurrent layer.
        epochs: Number of epochs; each ends with an evaluation.
        steps: Number of updates in an epoch.
        batch_size: Number of sequences in a batch; each batch is drawn anew.
        learning_rate: Learning rate of Adam, after the norm of the gradient is clipped
            to 1.
        families: Kinds of networks.
        looks: Lengths at which the gradient is measured before training and the
            networks are not trained further than one update.
    """

    lengths: Sequence[int]
    hidden: int
    epochs: int
    steps: int
    batch_size: int
    learning_rate: float
    families: Sequence[str] = MATCHED
    looks: Sequence[int] = ()


SCALES = {
    "smoke": TimeSettings((12,), 8, 2, 4, 8, 3e-3),
    "laptop": TimeSettings((30, 100), 32, 5, 100, 32, 1e-2),
    "hour": TimeSettings(
        (1_000,), 64, 25, 100, 32, 3e-3, tuple(FAMILIES), looks=(10_000,)
    ),
    "accelerator": TimeSettings(
        (100, 300, 1000), 128, 100, 100, 128, 3e-3, tuple(FAMILIES), looks=(10_000,)
    ),
}
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
    "Solved means a test loss below a tenth of 1/6, which is the loss without memory.",
)
BASELINE = 1 / 6
SOLVED = BASELINE / 10
EVALUATED_SEQUENCES = 256
# A length that is only looked at has so many sequences.
LOOK_SEQUENCES = 4
# At most this many time steps are recorded during training; before and after it, all.
POSITIONS_IN_BETWEEN = 128


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: each cell at each length. The data is generated."""
    del dataset
    settings = SCALES[scale]
    return [
        Arm(
            "time",
            f"{family.lower().replace(', ', '-')}-{length}",
            family,
            length,
            {"length": length, "scale": scale},
        )
        for length in (*settings.lengths, *settings.looks)
        for family in settings.families
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Train the networks of `arm` for all seeds and record how their gradients flow."""
    settings = SCALES[arm.settings["scale"]]
    family, length = FAMILIES[arm.family], arm.settings["length"]
    evaluated, look = EVALUATED_SEQUENCES, length in settings.looks
    if look:
        evaluated = LOOK_SEQUENCES
        settings = dataclasses.replace(
            settings, epochs=1, steps=1, batch_size=evaluated
        )
    draw = functools.partial(adding_problem, length=length)
    validation, test = (
        draw(training.random_key(seed), evaluated) for seed in (1001, 1002)
    )
    trained = train(
        lambda rngs: make_network(family, settings.hidden, length, rngs),
        training.regression,
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(settings.learning_rate)),
        training.generated(draw, settings.steps, settings.batch_size),
        {"validation": validation},
        test=test,
        seeds=seeds,
        epochs=settings.epochs,
        on_epoch=on_epoch,
        watch=functools.partial(_watch, family),
    )
    recorder = Recorder(arm, seeds)
    trained.record_curves(recorder, figures=("loss",))
    if trained.history is not None:
        _record_flow(recorder, family, trained.history)
        at_start = trained.history.reports.watched["norm"][:, 0]
        _record_theory(
            recorder, family, settings.hidden, trained, at_start, validation.x
        )
        _record_lyapunov(recorder, family, trained, validation.x[0])
    if trained.history is not None and not trained.message and not look:
        last = trained.history.reports.loss.shape[1]
        recorder.scalar("solved", trained.test["loss"] < SOLVED, step=last)
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
    recorder: Recorder, family: Family, hidden: int, trained: Trained, norms, x
) -> None:
    """Record the line that theory predicts before training."""
    length = norms.shape[-1]
    back = np.arange(length - 1, -1, -1)
    if not family.gate:
        profile = back * rnn_slope(family.weight_variance, hidden, length)
    else:
        initial = trained.program.initial
        model = nnx.merge(
            trained.program.graphdef, initial.params, initial.rest, copy=True
        )
        # Every array of `params` has a leading axis of seeds.
        params = model.recurrent.params
        profile = (
            min_gru_profile(params, x)
            if isinstance(params, F.MinGRUParams)
            else back * gated_slope(params, x, family.weight_variance)
        )
    line = log10(norms[:, -1]).mean() + profile / np.log(10)
    recorder.prediction("predicted_log10_gradient_norm", line, places=["h"] * length)


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
    steps = 0 if trained.history is None else trained.history.reports.loss.shape[1]
    for step, state in ((0, trained.program.initial), (steps, trained.state)):
        recorder.scalar("lyapunov_exponent", every(state), step=step)
