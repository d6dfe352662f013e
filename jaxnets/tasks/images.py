"""Images: a residual network that tells classes of images apart."""

import functools
from pathlib import Path

import numpy as np

from jaxnets import data as datasets
from jaxnets import models
from jaxnets.tasks.epochs import batches_of
from jaxnets.tasks.task import Prepared, Task
from jaxnets.training import Recipe, classification


DEPTH, WIDTHS = 14, (16, 32)


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Load images, and draw each epoch in a new order.

    Args:
        recipe: Its seed and batch size decide the order.
        data: A folder with the files of CIFAR-10; None takes scikit-learn's digits.

    Raises:
        ValueError: If a file is not what it should be.
        OSError: If it cannot be read.
    """
    splits = datasets.digits() if data is None else datasets.cifar10(data)
    training, validation, test = splits
    batch = batches_of(recipe, training, "training images")
    chances = np.bincount(training.y) / len(training.y)
    floors = lambda: {"floor": float(-np.log(chances[validation.y]).mean())}
    make = functools.partial(_make, features=training.x.shape[-1], classes=len(chances))
    evaluation = {"validation": validation, "test": test}
    return Prepared(make, classification, batch, evaluation, {}, floors)


def _make(rngs, features: int, classes: int) -> models.ResNet:
    return models.ResNet(DEPTH, features, classes, widths=WIDTHS, rngs=rngs)


TASK = Task(
    "images",
    Recipe(
        steps=400,
        batch_size=64,
        learning_rate=0.05,
        optimizer="sgd",
        weight_decay=1e-4,
        warmup=20,
        evaluate_every=50,
        checkpoint_every=100,
    ),
    prepare,
)
