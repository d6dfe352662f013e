"""Rate: how the largest stable learning rate depends on depth.

Deep fully connected ReLU networks without shortcuts, with shortcuts, and with shortcuts
and a branch scale of 1 / sqrt(depth). The study measures the rate at which the first
update changes the last hidden layer by as much as it is large, beside theory, and then
searches for the largest rate with which training is stable.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.data import Labelled
from jaxnets.studies import datasets
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder
from jaxnets.studies.rate.network import draw, first_step, largest_stable_rate
from jaxnets.studies.rate.prediction import FirstStep, predicted_log_rate
from jaxnets.studies.theory.points import Networks


@dataclasses.dataclass(frozen=True)
class RateSettings:
    """The size of the study.

    Attributes:
        depths: Numbers of hidden layers.
        width: Number of units in each of them. Networks whose width is not many times
            their depth scatter around theory's line and lie above it.
        updates: Number of updates of a training.
        images: Number of images; each is measured alone, and the results are averaged.
    """

    depths: Sequence[int]
    width: int
    updates: int
    images: int


SCALES = {
    "smoke": RateSettings((2, 4), 16, 3, 2),
    "laptop": RateSettings((8, 16, 32, 64), 256, 10, 4),
    "hour": RateSettings((8, 16, 32, 64, 128), 768, 20, 8),
    "accelerator": RateSettings((8, 16, 32, 64, 128), 2048, 50, 16),
}
INITIALISER = (
    "All networks: weights normal with variance 2 / fan_in in the hidden layers (He et "
    "al. 2015), 1 / fan_in before them and 1 / fan_in^2 after them, so that outputs "
    "start near zero (Jelassi et al. 2023); no biases. Inputs have a root mean square "
    "of 1. The networks of one depth have the same weights."
)
NOTES = (
    "The hidden layers are trained, on one image at a time, towards its label as a "
    "one-hot vector; the results are averaged over images. Theory's line for the first "
    "update is for wide layers; it takes the length of the first and the gradient of "
    "the last hidden layer as measured and predicts what happens in between.",
    "A rate counts as stable if gradient descent without momentum never raises the "
    "loss above the loss before training. Rates are tried in growing order, each the "
    "square root of 2 times the one before, until one is not stable.",
    "The exponent of -3/2 is that of an update on one image. In a deep plain network "
    "the signals of all images become alike, so their gradients partly cancel in the "
    "mean over a batch, and the largest stable rate of a batch falls less steeply.",
    "Without a branch scale a residual network of He's layers doubles the variance of "
    "its signal in each layer, so its largest rate falls exponentially and has no "
    "exponent. Beyond 64 layers its numbers leave the range of float32.",
)
# By family: the branch scale as a function of the depth.
BRANCH_SCALES = {
    "plain": lambda depth: None,
    "residual": lambda depth: 1.0,
    "residual, scaled": lambda depth: depth**-0.5,
}
DEEPEST_UNSCALED = 64
# The search begins at this part of the rate that the first update allows.
START = 32.0


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: each family at each depth."""
    return [
        Arm(
            "rate",
            f"{family.replace(', ', '-')}-{depth}",
            family,
            depth,
            {"depth": depth, "scale": scale, "dataset": dataset},
        )
        for depth in SCALES[scale].depths
        for family in BRANCH_SCALES
        if family != "residual" or depth <= DEEPEST_UNSCALED
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Measure the first update and the edge of stability for all seeds."""
    del on_epoch
    settings = SCALES[arm.settings["scale"]]
    depth = arm.settings["depth"]
    branch_scale = BRANCH_SCALES[arm.family](depth)
    images = _images(arm.settings["dataset"], settings.images)
    features, width = images.x.shape[-1], settings.width

    def of_key(key):
        params = draw(key, features, width, depth, classes=10)

        def of_image(image):
            x, y = image
            found = first_step(params, x, y, branch_scale)
            start = found.rate - jnp.log(START)
            edge = largest_stable_rate(
                params, x, y, start, branch_scale, updates=settings.updates
            )
            return jnp.stack([*found, edge])

        return jax.lax.map(of_image, (images.x, images.y))

    networks = Networks(seeds)
    measured = networks.measure(of_key)
    *first, edge = np.moveaxis(measured, -1, 0)
    found = FirstStep(*first)
    predicted = predicted_log_rate(depth, branch_scale, found)
    recorder = Recorder(arm, seeds)
    to_log10 = lambda values: np.mean(values, axis=-1) / np.log(10)
    recorder.scalar("log10_first_step_rate", to_log10(found.rate), step=0)
    recorder.scalar("log10_stable_rate", to_log10(edge), step=0)
    theirs = Recorder(arm, (-1,))
    line = np.mean(to_log10(predicted), keepdims=True)
    theirs.scalar("predicted_log10_first_step_rate", line, step=0)
    parameters = width * (features + depth * width + 10)
    records = recorder.records + theirs.records
    return Outcome(records, parameters, networks.compile_seconds)


def _images(dataset: str, count: int) -> Labelled:
    """Return the first images as vectors `(count, D)` whose mean squares are 1."""
    x, y = datasets.load(dataset).train
    x = jnp.asarray(x[:count]).reshape(count, -1)
    x = x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True))
    return Labelled(x, jnp.asarray(y[:count]))
