"""What tasks that tell classes apart share: a floor, and the confusion of classes."""

import numpy as np

from jaxnets.runs.exhibits import Matrix
from jaxnets.typing import ArrayLike


def frequency_loss(training: ArrayLike, labels: ArrayLike) -> float:
    """Return the loss of a model that knows only how frequent each class is.

    Args:
        training: The classes that it counts, `(N,)`.
        labels: The classes that it is judged on, `(M,)`.

    Example:
        >>> frequency_loss(np.array([0, 0, 1, 1]), np.array([0])) == np.log(2)
        True
    """
    training, labels = np.asarray(training), np.asarray(labels)
    counts = np.bincount(training, minlength=int(labels.max()) + 1)
    return float(-np.log(counts[labels] / len(training)).mean())


def confusion(
    classes: list[str], labels: ArrayLike, found: ArrayLike, unit: str
) -> Matrix:
    """Count what is taken for what.

    Args:
        classes: The names of the classes.
        labels: The class of each example of the test split, `(N,)`.
        found: The class that the network says, `(N,)`.
        unit: What the examples are called.

    Example:
        >>> y, found = np.array([0, 1, 1]), np.array([0, 1, 0])
        >>> confusion(["a", "b"], y, found, "images").values
        [[1.0, 0.0], [1.0, 1.0]]
    """
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (np.asarray(labels), np.asarray(found)), 1)
    return Matrix(
        "Confusion",
        "Each row is a class of the test split, each column what the network says. "
        "What lies off the diagonal is wrong.",
        classes,
        classes,
        counts.tolist(),
        unit,
    )
