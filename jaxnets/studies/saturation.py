"""Saturation: sigmoid, tanh and ReLU at several gains of the initialiser.

The study measures in a deep fully connected network which share of each layer is
saturated, and how much of the gradient is left.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxnets import gradflow, models, training
from jaxnets.gradflow import theory
from jaxnets.studies import datasets
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder, log10
from jaxnets.studies.predictions import (
    critical_line_records,
    record_prediction,
    variance_records,
)
from jaxnets.studies.theory.points import slopes
from jaxnets.studies.training_run import train


@dataclasses.dataclass(frozen=True)
class SaturationSettings:
    """The size of the study.

    Attributes:
        gains: Standard deviations of the weights, in units of 1 / sqrt(fan_in).
        layers: Number of hidden layers.
        width: Number of units in each hidden layer.
        epochs: Number of passes through the training data.
        batch_size: Number of images in a batch.
        examples: Number of training images to use; None uses all.
        learning_rate: Learning rate of SGD, after the norm of the gradient is clipped
            to 1.
    """

    gains: Sequence[float]
    layers: int
    width: int
    epochs: int
    batch_size: int
    examples: int | None
    learning_rate: float


SCALES = {
    "smoke": SaturationSettings((1.0,), 3, 16, 1, 32, 64, 0.05),
    "laptop": SaturationSettings((1.0, 4.0), 8, 64, 5, 64, None, 0.05),
    "hour": SaturationSettings((0.5, 1.0, 2.0, 4.0), 16, 128, 30, 64, None, 0.05),
    "accelerator": SaturationSettings(
        (0.5, 1.0, 2.0, 4.0), 16, 256, 30, 128, None, 0.05
    ),
}
INITIALISER = (
    "All networks: weights normal with standard deviation gain / sqrt(fan_in), biases "
    "zero. A gain of 1 gives LeCun's initialiser, a gain of 1.41 He's."
)
NOTES = (
    "Theory's line is mean-field theory in the limit of wide layers, at the variance "
    "that the signal converges to; in the first layers it has not converged yet.",
    "Theory's band, between dotted edges, says how far layers of this width scatter "
    "around the line (Hanin and Nica 2018). It holds for ReLU. For sigmoid and tanh "
    "the variance that the signal converges to scatters too, and we know of no law "
    "for that.",
)
ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "ReLU": jax.nn.relu}
PROBE_EXAMPLES = 256


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: each activation at each gain."""
    return [
        Arm(
            "saturation",
            f"{activation.lower()}-{gain:g}",
            activation,
            gain,
            {"activation": activation, "gain": gain}
            | {"scale": scale, "dataset": dataset},
        )
        for gain in SCALES[scale].gains
        for activation in ACTIVATIONS
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Train the networks of `arm` for all seeds; record saturation and gradients."""
    settings = SCALES[arm.settings["scale"]]
    splits = datasets.first(datasets.load(arm.settings["dataset"]), settings.examples)
    activation = arm.settings["activation"]
    numbers = range(1, settings.layers + 1)
    trained = train(
        lambda rngs: models.MLP(
            splits.train.x[0].size,
            10,
            widths=(settings.width,) * settings.layers,
            activation=ACTIVATIONS[activation],
            gain=arm.settings["gain"],
            rngs=rngs,
        ),
        training.classification,
        # Clipped, because a large gain is to show its gradients and not a divergence.
        optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(settings.learning_rate)),
        training.shuffled(splits.train, settings.batch_size),
        {"validation": splits.validation},
        test=splits.test,
        seeds=seeds,
        epochs=settings.epochs,
        on_epoch=on_epoch,
        watch=lambda taps, responses: jnp.stack(
            [taps[f"layer{number}"].norm for number in numbers]
        ),
    )
    recorder = Recorder(arm, seeds)
    trained.record_curves(recorder)
    if trained.history is None:
        return trained.outcome(recorder)
    norms = trained.history.reports.watched
    places = [f"layer {number}" for number in numbers]
    last = norms.shape[1]
    for step in sorted({0, last - 1}):
        flow = log10(norms[:, step])
        recorder.profile("log10_gradient_norm", flow, step=step, places=places)
    at_start = log10(norms[:, 0])
    _record_theory(recorder, arm, settings.width, at_start, places)
    _record_plane(recorder, arm, at_start)

    def shares(state):
        graphdef = trained.program.graphdef
        model = nnx.merge(graphdef, state.params, state.rest, copy=True)
        hidden = model.hidden(splits.validation.x[:PROBE_EXAMPLES])
        flat = [gradflow.saturation(h, activation) for h in hidden]
        found = {"saturated_share": flat}
        if activation == "ReLU":
            found["dead_share"] = [gradflow.dead_units(h) for h in hidden]
        return found

    every = jax.jit(lambda states: jax.lax.map(shares, states))
    for step, state in ((0, trained.program.initial), (last, trained.state)):
        for metric, layers in every(state).items():
            values = np.stack(layers, axis=-1)
            recorder.profile(metric, values, step=step, places=places)
    return trained.outcome(recorder)


def _record_theory(recorder: Recorder, arm: Arm, width: int, measured, places) -> None:
    """Record the line of mean-field theory before training."""
    activation = ACTIVATIONS[arm.settings["activation"]]
    variance = arm.settings["gain"] ** 2
    back = np.arange(len(places) - 1, -1, -1)
    spreads = []
    if arm.settings["activation"] == "ReLU":
        slope = theory.plain_relu_slope(variance)
        spreads = [theory.finite_width_spread([width] * n) for n in back.tolist()]
    else:
        chi = theory.chi_1(activation, weight_variance=variance, bias_variance=0.0)
        slope = 0.5 * np.log(chi)
    profile = back * slope
    record_prediction(recorder, profile, measured, places=places, spreads=spreads)


def _record_plane(recorder: Recorder, arm: Arm, measured) -> None:
    """Record the point of the network in the plane of variances, and its line."""
    # A gradient that vanishes backwards grows along the layers.
    recorder.scalar("log_chi_1", -2 * np.log(10) * slopes(measured), step=0)
    recorder.records += variance_records(arm, arm.settings["gain"] ** 2, 0.0)
    activation = ACTIVATIONS[arm.settings["activation"]]
    recorder.records += critical_line_records(arm, activation)
