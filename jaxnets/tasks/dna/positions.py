"""The baseline: a table of the bases at each position (naive Bayes)."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from jaxnets.data import Labelled


class PositionTable(NamedTuple):
    """The logarithms of how often each class has each base at each position.

    Attributes:
        weights: `(classes, T, 4)`.
        prior: The logarithms of the frequencies of the classes, `(classes,)`.
    """

    weights: np.ndarray
    prior: np.ndarray

    @classmethod
    def of(cls, training: Labelled) -> "PositionTable":
        """Count the bases, each once more than it occurs."""
        x, y = np.asarray(training.x), np.asarray(training.y)
        classes = range(int(y.max()) + 1)
        counts = np.stack([x[y == label].sum(axis=0) + 1 for label in classes])
        weights = np.log(counts / counts.sum(axis=-1, keepdims=True))
        return cls(weights, np.log(np.bincount(y) / len(y)))

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return the scores of the classes of sequences `x (B, T, 4)`."""
        return self.prior + np.einsum("btc,ktc->bk", x, self.weights)


def position_weights_loss(training: Labelled, data: Labelled) -> float:
    """Return the loss of the table of the training sequences."""
    return loss_of(PositionTable.of(training).scores(np.asarray(data.x)), data.y)


def position_weights_accuracy(training: Labelled, data: Labelled) -> float:
    """Return the share of sequences whose class the table finds."""
    scores = PositionTable.of(training).scores(np.asarray(data.x))
    return float(np.mean(scores.argmax(axis=1) == np.asarray(data.y)))


def loss_of(scores: np.ndarray, labels) -> float:
    """Return the cross-entropy of scores `(B, classes)`, which a softmax normalises."""
    log_p = log_softmax(scores, axis=1)
    return float(-np.take_along_axis(log_p, np.asarray(labels)[:, None], 1).mean())
