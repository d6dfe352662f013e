"""Time: recurrent against gated networks on a task that needs a long memory.

RNN, GRU and LSTM with matched initialisers learn the adding problem at several lengths.
The study measures how much of the gradient reaches each time step, before and during
training.
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
from flax.nnx import initializers

from jaxnets import functional as F
from jaxnets import gradflow, models, nn, training
from jaxnets.data import adding_problem
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder, log10, recorded_steps
from jaxnets.studies.time.prediction import gated_slope, rnn_slope
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
    """

    lengths: Sequence[int]
    hidden: int
    epochs: int
    steps: int
    batch_size: int
    learning_rate: float


SCALES = {
    "smoke": TimeSettings((12,), 8, 2, 4, 8, 3e-3),
    "laptop": TimeSettings((30, 100), 32, 5, 100, 32, 1e-2),
    "hour": TimeSettings((100, 300), 64, 20, 100, 32, 3e-3),
    "accelerator": TimeSettings((100, 300, 1000), 128, 100, 100, 128, 3e-3),
}
INITIALISER = (
    "All networks: every weight uniform in ±1 / sqrt(H), as in PyTorch's recurrent "
    "layers, so that an RNN and one gate of a GRU or an LSTM start alike; biases zero, "
    "except for the forget bias of the LSTM, which is 1."
)
NOTES = (
    "Theory's line is mean-field theory: for the RNN from the variances of its weights "
    "and inputs, for GRU and LSTM from the values of their gates in a forward pass.",
    "Solved means a test loss below a tenth of 1/6, which is the loss without memory.",
)
# The variance is 1 / (3 H), where H is the fan-out of the weights (D, H) and (H, H) of
# each gate.
WEIGHT_VARIANCE = 1 / 3
uniform_init = initializers.variance_scaling(WEIGHT_VARIANCE, "fan_out", "uniform")
BASELINE = 1 / 6
SOLVED = BASELINE / 10
LAYERS = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
STEPS = {"RNN": F.rnn_step, "GRU": F.gru_step, "LSTM": F.lstm_step}
# The gate that multiplies the old state.
MEMORY_GATES = {"GRU": "z", "LSTM": "f"}
EVALUATED_SEQUENCES = 256
# At most this many time steps are recorded during training; before and after it, all.
POSITIONS_IN_BETWEEN = 128


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: each cell at each length. The data is generated."""
    del dataset
    return [
        Arm(
            "time",
            f"{cell.lower()}-{length}",
            cell,
            length,
            {"cell": cell, "length": length, "scale": scale},
        )
        for length in SCALES[scale].lengths
        for cell in LAYERS
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Train the networks of `arm` for all seeds and record how their gradients flow."""
    settings = SCALES[arm.settings["scale"]]
    cell, length = arm.settings["cell"], arm.settings["length"]
    draw = functools.partial(adding_problem, length=length)
    validation, test = (
        draw(training.random_key(seed), EVALUATED_SEQUENCES) for seed in (1001, 1002)
    )
    trained = train(
        lambda rngs: models.ManyToOne(
            LAYERS[cell],
            2,
            settings.hidden,
            1,
            input_init=uniform_init,
            recurrent_init=uniform_init,
            rngs=rngs,
        ),
        training.regression,
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(settings.learning_rate)),
        training.generated(draw, settings.steps, settings.batch_size),
        {"validation": validation},
        test=test,
        seeds=seeds,
        epochs=settings.epochs,
        on_epoch=on_epoch,
        watch=functools.partial(_watch, cell),
    )
    recorder = Recorder(arm, seeds)
    trained.record_curves(recorder, figures=("loss",))
    if trained.history is not None:
        _record_flow(recorder, cell, trained.history)
        at_start = trained.history.reports.watched["norm"][:, 0]
        _record_theory(recorder, cell, settings.hidden, trained, at_start, validation.x)
        _record_lyapunov(recorder, cell, trained, validation.x[0])
    if trained.history is not None and not trained.message:
        last = trained.history.reports.loss.shape[1]
        recorder.scalar("solved", trained.test["loss"] < SOLVED, step=last)
    return trained.outcome(recorder)


def _watch(cell: str, taps: dict, responses: dict) -> dict[str, jax.Array]:
    """Return the gradient norm at every step, and the mean of the memory gate."""
    watched = {"norm": taps[f"{cell.lower()}/h"].norm}
    if cell in MEMORY_GATES:
        watched["gate"] = responses[f"{cell.lower()}/{MEMORY_GATES[cell]}"].mean
    return watched


def _record_flow(recorder: Recorder, cell: str, history: training.History) -> None:
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
    if cell in MEMORY_GATES:
        gate, means = MEMORY_GATES[cell], history.reports.watched["gate"]
        for step in sorted({0, norms.shape[1] - 1}):
            # One number for each network: from the mean gate over units, batch, time.
            tau = gradflow.gate_timescales(means[:, step].T)
            recorder.scalar("gate_timescale", tau, step=step, place=gate)


def _record_theory(
    recorder: Recorder, cell: str, hidden: int, trained: Trained, norms, x
) -> None:
    """Record the line that theory predicts before training."""
    length = norms.shape[-1]
    if cell == "RNN":
        slope = rnn_slope(WEIGHT_VARIANCE, hidden, length)
    else:
        initial = trained.program.initial
        model = nnx.merge(
            trained.program.graphdef, initial.params, initial.rest, copy=True
        )
        # Every array of `params` has a leading axis of seeds.
        slope = gated_slope(model.recurrent.params, x, WEIGHT_VARIANCE)
    back = np.arange(length - 1, -1, -1)
    line = log10(norms[:, -1]).mean() + back * slope / np.log(10)
    recorder.prediction("predicted_log10_gradient_norm", line, places=["h"] * length)


def _record_lyapunov(
    recorder: Recorder, cell: str, trained: Trained, xs: jax.Array
) -> None:
    """Record the largest Lyapunov exponent on a sequence, before and after training."""

    def largest(state: training.TrainState) -> jax.Array:
        graphdef = trained.program.graphdef
        model = nnx.merge(graphdef, state.params, state.rest, copy=True)
        params = model.recurrent.params
        step = functools.partial(STEPS[cell], params)
        zeros = jnp.zeros(params.w_hh.shape[0])
        start = F.LSTMState(zeros, zeros) if cell == "LSTM" else zeros
        return gradflow.lyapunov_spectrum(step, start, xs, count=1)[0]

    every = jax.jit(lambda states: jax.lax.map(largest, states))
    steps = 0 if trained.history is None else trained.history.reports.loss.shape[1]
    for step, state in ((0, trained.program.initial), (steps, trained.state)):
        recorder.scalar("lyapunov_exponent", every(state), step=step)
