"""Architecture: which kind of network suits which data.

Dense, convolutional and recurrent networks with the same number of parameters learn
digits as images, as sequences of pixels, and with shuffled pixels, and the adding
problem. All train equally long with the same optimiser.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxnets import training
from jaxnets.data import Labelled, adding_problem
from jaxnets.studies import datasets
from jaxnets.studies.architecture.networks import (
    convolutional,
    dense,
    nearest_width,
    recurrent,
)
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder
from jaxnets.studies.training_run import train


@dataclasses.dataclass(frozen=True)
class ArchitectureSettings:
    """The size of the study.

    Attributes:
        parameters: Number of parameters of each network, as nearly as widths allow.
        length: Number of time steps of the adding problem.
        epochs: Number of epochs; each ends with an evaluation.
        batch_size: Number of examples in a batch.
        examples: Number of training images to use; None uses all.
        learning_rate: Learning rate of Adam, after the norm of the gradient is clipped
            to 1.
    """

    parameters: int
    length: int
    epochs: int
    batch_size: int
    examples: int | None
    learning_rate: float


SCALES = {
    "smoke": ArchitectureSettings(300, 8, 1, 32, 64, 5e-3),
    "laptop": ArchitectureSettings(5_000, 50, 30, 64, None, 5e-3),
    "hour": ArchitectureSettings(20_000, 200, 100, 64, None, 3e-3),
    "accelerator": ArchitectureSettings(100_000, 784, 100, 128, None, 1e-3),
}
INITIALISER = (
    "Dense and convolutional layers: LeCun's initialiser. GRU: recurrent weights "
    "orthogonal, input weights Glorot's. All biases zero."
)
NOTES = (
    "The dense network has two hidden layers and reads all inputs at once. The "
    "convolutional network has two convolutions with windows of 3 on each axis, max "
    "pooling between them, and the mean over positions. The recurrent network is a "
    "GRU, read out after the last step.",
    "Images: the recurrent network reads the rows of the image as time steps. Pixel "
    "sequence: one pixel at each time step; the convolution has one axis. Shuffled "
    "pixels: one fixed permutation for all images; the convolution has two axes "
    "again. The dense network reads the same pixels in all three.",
    "An answer on the adding problem is right if its error is below 0.04 (Hochreiter "
    "and Schmidhuber 1997).",
)
EVALUATED_SEQUENCES = 360
# An epoch of the adding problem has as many sequences as the digits have images.
SEQUENCES = 1077


class Task(NamedTuple):
    """What is learnt.

    Attributes:
        number: The size of its arms.
        steps: Whether the recurrent network reads pixels one by one, not rows.
        flat: Whether the convolutional network reads a sequence, not an image.
        shuffled: Whether the pixels are permuted.
    """

    number: int
    steps: bool
    flat: bool
    shuffled: bool


TASKS = {
    "images": Task(1, steps=False, flat=False, shuffled=False),
    "pixels": Task(2, steps=True, flat=True, shuffled=False),
    "shuffled": Task(3, steps=True, flat=False, shuffled=True),
    "adding": Task(4, steps=True, flat=True, shuffled=False),
}
NETWORKS = {"dense": dense, "CNN": convolutional, "RNN": recurrent}


class _Data(NamedTuple):
    """Examples of a task in the shape that an architecture reads."""

    batches: training.Batches
    validation: Labelled
    test: Labelled
    outputs: int
    loss: training.Loss


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: each kind of network on each task.

    At scale `smoke`, where compiling takes most of the time, two tasks stand for all.
    """
    names = ("images", "adding") if scale == "smoke" else TASKS
    return [
        Arm(
            "architecture",
            f"{family.lower()}-{name}",
            family,
            TASKS[name].number,
            {"task": name, "scale": scale, "dataset": dataset},
        )
        for name in names
        for family in NETWORKS
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Train the networks of `arm` for all seeds and record their curves."""
    settings = SCALES[arm.settings["scale"]]
    found = _adding(settings) if arm.settings["task"] == "adding" else _digits(arm)
    shape = found.validation.x.shape[1:]
    make = lambda width, rngs: NETWORKS[arm.family](shape, width, found.outputs, rngs)
    width = nearest_width(make, settings.parameters)
    trained = train(
        lambda rngs: make(width, rngs),
        found.loss,
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(settings.learning_rate)),
        found.batches,
        {"validation": found.validation},
        test=found.test,
        seeds=seeds,
        epochs=settings.epochs,
        on_epoch=on_epoch,
    )
    recorder = Recorder(arm, seeds)
    trained.record_curves(recorder)
    return trained.outcome(recorder)


def _adding(settings: ArchitectureSettings) -> _Data:
    """Return the adding problem, which all architectures read as a sequence."""
    draw = functools.partial(adding_problem, length=settings.length)
    validation, test = (
        draw(training.random_key(seed), EVALUATED_SEQUENCES) for seed in (1001, 1002)
    )
    count = min(settings.examples or SEQUENCES, SEQUENCES)
    steps = max(1, count // settings.batch_size)
    batches = training.generated(draw, steps, settings.batch_size)
    return _Data(batches, validation, test, 1, training.regression)


def _digits(arm: Arm) -> _Data:
    """Return the images in the shape that the architecture reads for this task."""
    settings, task = SCALES[arm.settings["scale"]], TASKS[arm.settings["task"]]
    splits = datasets.first(datasets.load(arm.settings["dataset"]), settings.examples)
    reshaped = _reader(arm.family, task, splits.train.x.shape[1:])
    train_data, validation, test = (
        Labelled(reshaped(np.asarray(x)), y) for x, y in splits
    )
    batches = training.shuffled(train_data, settings.batch_size)
    return _Data(batches, validation, test, 10, training.classification)


def _reader(
    family: str, task: Task, shape: tuple[int, ...]
) -> Callable[[np.ndarray], Any]:
    """Return what brings images `(N, height, width, C)` into a network's shape."""
    height, width, channels = shape
    pixels = height * width
    order = np.arange(pixels)
    if task.shuffled:
        order = np.random.default_rng(0).permutation(pixels)
    as_sequence = task.flat if family == "CNN" else task.steps
    if as_sequence:
        to = (pixels, channels)
    elif family == "RNN":
        to = (height, width * channels)
    else:
        to = shape

    def read(images: np.ndarray) -> jax.Array:
        permuted = images.reshape(len(images), pixels, channels)[:, order]
        return jax.numpy.asarray(permuted.reshape(len(images), *to))

    return read
