"""The baseline: a table of the bases at each position (naive Bayes)."""

import numpy as np
from scipy.special import log_softmax

from jaxnets.data import Labelled


def position_weights_loss(training: Labelled, data: Labelled) -> float:
    """Return the loss of a table of the bases at each position (naive Bayes)."""
    classes = range(int(np.max(training.y)) + 1)
    x, y = np.asarray(training.x), np.asarray(training.y)
    counts = np.stack([x[y == label].sum(axis=0) + 1 for label in classes])
    logs = np.log(counts / counts.sum(axis=-1, keepdims=True))
    prior = np.log(np.bincount(y) / len(y))
    return loss_of(prior + np.einsum("btc,ktc->bk", data.x, logs), data.y)


def loss_of(scores: np.ndarray, labels) -> float:
    """Return the loss of scores, the logarithms of probabilities up to a number."""
    log_p = log_softmax(scores, axis=1)
    return float(-np.take_along_axis(log_p, np.asarray(labels)[:, None], 1).mean())
