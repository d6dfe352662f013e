"""Extreme depth: plain tanh convolutions without shortcuts or normalisation.

Xiao et al. 2018 train 10,000 such layers, which start delta-orthogonal with the gain at
which gradients keep their size. The study measures the gradient at each of thousands of
layers beside theory's line, there and with a gain that is 10 % off, and trains.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxnets import training
from jaxnets.data import Labelled
from jaxnets.gradflow import theory
from jaxnets.studies import datasets
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder, log10
from jaxnets.studies.extreme.network import (
    TanhNet,
    Variances,
    first_update_rate,
    gradient_profile,
    predicted_profile,
)
from jaxnets.studies.training_run import Trained, train


@dataclasses.dataclass(frozen=True)
class ExtremeSettings:
    """The size of the study.

    Attributes:
        profile: Number of layers of the networks that are only looked at.
        layers: Number of layers of the networks that are trained.
        channels: Number of feature maps.
        images: Number of images of the look at the gradient.
        epochs: Number of passes through the training data.
        batch_size: Number of images in a batch.
        examples: Number of training images to use; None uses all.
    """

    profile: int
    layers: int
    channels: int
    images: int
    epochs: int
    batch_size: int
    examples: int | None


SCALES = {
    "smoke": ExtremeSettings(12, 6, 4, 2, 1, 32, 64),
    "laptop": ExtremeSettings(10_000, 100, 8, 2, 5, 32, None),
    "hour": ExtremeSettings(10_000, 1_000, 16, 8, 10, 32, None),
    "accelerator": ExtremeSettings(10_000, 10_000, 32, 32, 20, 128, None),
}
INITIALISER = (
    "All networks: kernels delta-orthogonal, which is an orthogonal matrix in the "
    "middle of the window and zero around it, times a gain; biases normal with "
    "variance 10^-6; the read-out with LeCun's initialiser. The critical gain is the "
    "one at which mean-field theory keeps the size of gradients (chi_1 = 1)."
)
NOTES = (
    "The layers are tanh(conv(x) + b) on all positions of the image, without "
    "shortcuts and normalisation. A linear layer reads out all positions.",
    "Theory's line is mean-field theory in the limit of many feature maps, computed "
    "from the variance of each layer. If the gain is too large, units saturate and "
    "the gradients of networks with few feature maps grow more slowly than it says.",
    "All networks train by gradient descent with momentum 0.9 and the same rate: the "
    "one with which the first update of the critical network lowers its loss by 0.02 "
    "nats, to first order.",
)
# By family: the gain in units of the critical one. Only these two are trained.
GAINS = {"critical": 1.0, "gain 10 % too small": 0.9, "gain 10 % too large": 1.1}
TRAINED = ("critical", "gain 10 % too small")
BIAS_VARIANCE = 1e-6
DECREASE, MOMENTUM = 0.02, 0.9
# At most this many layers of a profile are recorded.
POSITIONS = 128


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: those that are looked at, and those that train."""
    settings = SCALES[scale]
    runs = [(family, settings.profile, False) for family in GAINS]
    runs += [(family, settings.layers, True) for family in TRAINED]
    return [
        Arm(
            "extreme",
            f"{family.replace(' 10 %', '').replace(' ', '-')}-{layers}"
            + ("-trained" if trained else ""),
            family,
            layers,
            {"trained": trained, "scale": scale, "dataset": dataset},
        )
        for family, layers, trained in runs
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Look at the gradient of each layer before training, or train."""
    settings = SCALES[arm.settings["scale"]]
    dataset = arm.settings["dataset"]
    splits = datasets.first(datasets.load(dataset), settings.examples)
    make = functools.partial(
        TanhNet,
        int(arm.size),
        splits.train.x.shape[1:],
        settings.channels,
        10,
    )
    start = variances(arm.family)
    if not arm.settings["trained"]:
        x, y = splits.train
        batch = Labelled(x[: settings.images], y[: settings.images])
        return _look(arm, seeds, lambda rngs: make(start, rngs=rngs), start, batch)
    # The rate of the critical network serves all families and seeds.
    critical = make(variances("critical"), rngs=nnx.Rngs(training.random_key(seeds[0])))
    batches = training.shuffled(splits.train, settings.batch_size)
    first = jax.tree.map(lambda array: array[0], batches(training.random_key(0)))
    rate = first_update_rate(critical, first, DECREASE)
    del critical
    trained = train(
        lambda rngs: make(start, rngs=rngs),
        training.classification,
        optax.sgd(rate, momentum=MOMENTUM),
        batches,
        {"validation": splits.validation},
        test=splits.test,
        seeds=seeds,
        epochs=settings.epochs,
        on_epoch=on_epoch,
        watch=lambda taps, responses: taps["block"].norm,
    )
    return _record_training(arm, seeds, trained, rate)


@functools.cache
def variances(family: str) -> Variances:
    """Return how the networks of a family start."""
    critical = theory.critical_line(jnp.tanh, BIAS_VARIANCE)
    return Variances(GAINS[family] ** 2 * critical, BIAS_VARIANCE)


def _look(arm, seeds, make, start: Variances, batch: Labelled) -> Outcome:
    """Record the profile of the gradient before training, and theory's line."""
    layers = int(arm.size)
    made = [nnx.split(make(nnx.Rngs(training.random_key(seed)))) for seed in seeds]
    graphdef, state = made[0]
    look = lambda state: gradient_profile(nnx.merge(graphdef, state), batch)
    began = time.perf_counter()
    program = jax.jit(look).lower(state).compile()
    compile_seconds = time.perf_counter() - began
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state))
    found = [jax.tree.map(np.asarray, program(state)) for _, state in made]
    norms = np.stack([each for each, _ in found])
    mean_square = float(np.mean([square for _, square in found]))
    line = norms[:, -1].mean() + predicted_profile(layers, start, mean_square) / np.log(
        10
    )
    places = [f"layer {number}" for number in range(1, layers + 1)]
    where = {"step": 0, "places": places, "positions": positions(layers)}
    recorder, theirs = Recorder(arm, seeds), Recorder(arm, (-1,))
    recorder.profile("log10_gradient_norm", norms, **where)
    theirs.profile("predicted_log10_gradient_norm", line[None], **where)
    return Outcome(recorder.records + theirs.records, parameters, compile_seconds)


def positions(layers: int) -> list[int]:
    """Return the layers of a profile that are recorded, with the first and the last.

    Example:
        >>> positions(1000)[:3], positions(1000)[-1], len(positions(1000))
        ([0, 8, 16], 999, 126)
    """
    stride = math.ceil(layers / POSITIONS)
    return sorted({*range(0, layers, stride), layers - 1})


def _record_training(arm, seeds, trained: Trained, rate: float) -> Outcome:
    """Record the curves, the rate, and the gradient during training."""
    recorder = Recorder(arm, seeds)
    trained.record_curves(recorder)
    rates = np.full(len(seeds), math.log10(rate))
    recorder.scalar("log10_learning_rate", rates, step=0)
    if trained.history is not None:
        norms = log10(trained.history.reports.watched)
        layers = norms.shape[-1]
        places = [f"layer {number}" for number in range(1, layers + 1)]
        where = {"places": places, "positions": positions(layers)}
        for step in sorted({0, norms.shape[1] - 1}):
            recorder.profile("log10_gradient_norm", norms[:, step], step=step, **where)
    return trained.outcome(recorder)
