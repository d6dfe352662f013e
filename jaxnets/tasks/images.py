"""Images: a residual network that tells classes of images apart."""

import functools
from pathlib import Path

import numpy as np
from flax import nnx

from jaxnets import data as datasets
from jaxnets import models
from jaxnets.data import Labelled
from jaxnets.runs.exhibits import FileLink, Matrix
from jaxnets.runs.files import write_text
from jaxnets.tasks.epochs import batches_of
from jaxnets.tasks.live.page import live_page
from jaxnets.tasks.live.weights import resnet_weights
from jaxnets.tasks.task import Outcome, Prepared, Task
from jaxnets.training import Recipe, classification
from jaxnets.typing import ArrayLike


DEPTH, WIDTHS = 14, (16, 32)
# The page on which a person draws a digit, and images that are judged at once.
PAGE, JUDGED = "digits.html", 1000


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
    outcome = functools.partial(_outcome, splits=splits, drawn=data is None)
    return Prepared(make, classification, batch, evaluation, {}, floors, outcome)


def _make(rngs, features: int, classes: int) -> models.ResNet:
    return models.ResNet(DEPTH, features, classes, widths=WIDTHS, rngs=rngs)


def _outcome(
    model: models.ResNet, folder: Path, *, splits: datasets.Splits, drawn: bool
) -> Outcome:
    """Count what is taken for what, and write the page to draw on.

    Args:
        model: The trained network.
        folder: That of the run.
        splits: The images.
        drawn: Whether they are digits of 8x8 pixels, which a person can draw.
    """
    training, _, test = splits
    run = nnx.jit(model)
    starts = range(0, len(test.x), JUDGED)
    logits = [np.asarray(run(test.x[start : start + JUDGED])) for start in starts]
    found = np.concatenate(logits).argmax(axis=1)
    classes = list(map(str, range(logits[0].shape[1])))
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (test.y, found), 1)
    confusion = Matrix(
        "Confusion",
        "Each row is a class of the test split, each column what the network says. "
        "What lies off the diagonal is wrong.",
        classes,
        classes,
        counts.tolist(),
        "images",
    )
    floor = float((nearest_means(training, test.x) == test.y).mean())
    page = [write_page(model, test, folder)] if drawn else []
    return Outcome({"floor_accuracy": floor}, [*page, confusion])


def nearest_means(training: Labelled, images: ArrayLike) -> np.ndarray:
    """Return for each image the class whose mean image is nearest, `(N,)`.

    Args:
        training: The images that the means are taken of.
        images: `(N, height, width, C)`.
    """
    rows = np.asarray(images).reshape(len(images), -1)
    classes = np.unique(training.y)
    means = [training.x[training.y == label].mean(axis=0) for label in classes]
    distances = [((rows - mean.ravel()) ** 2).sum(axis=1) for mean in means]
    return classes[np.argmin(distances, axis=0)]


def write_page(model: models.ResNet, digits: Labelled, folder: Path) -> FileLink:
    """Write the page on which a person draws a digit, and return a link to it.

    Args:
        model: The network.
        digits: Images of 8x8 pixels, of which the page shows one of each class.
        folder: Where the page goes.

    Raises:
        OSError: If it cannot be written.
    """
    _, rows = np.unique(digits.y, return_index=True)
    examples = np.rint(16 * digits.x[rows].reshape(len(rows), -1)).astype(int)
    settings = {"examples": examples.tolist()}
    write_text(folder / PAGE, live_page("digits", resnet_weights(model), settings))
    caption = "A page that opens from disk: draw a digit, and the network names it."
    return FileLink("Draw a digit", caption, PAGE)


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
        checkpoint_every=200,
    ),
    prepare,
)
