"""Generated sequences with a motif somewhere, or none, and their best loss."""

import numpy as np
from scipy.special import logsumexp

from jaxnets.data import Labelled, Splits
from jaxnets.tasks.dna.positions import loss_of
from jaxnets.tasks.dna.sequences import BASES
from jaxnets.training.trainer.order import generator


# The consensus of the two ends of introns, donor and acceptor, each of whose letters is
# drawn with this probability.
MOTIFS, SHARE = ("CAGGTAAGT", "TTTTCAGGT"), 0.85
COUNT, LENGTH = 4000, 60


def planted_motifs() -> Splits:
    """Return sequences of random bases, two thirds of them with a motif somewhere.

    Example:
        >>> [len(split.y) for split in planted_motifs()]
        [3200, 400, 400]
    """
    draw = generator(0, 0)
    y = draw.integers(0, len(MOTIFS) + 1, COUNT).astype(np.int32)
    codes = draw.integers(0, len(BASES), (COUNT, LENGTH))
    for row, label in enumerate(y):
        if label < len(MOTIFS):
            cumulated = np.cumsum(_weights(MOTIFS[label]), axis=1)
            start = draw.integers(0, LENGTH - len(cumulated) + 1)
            drawn = (draw.random((len(cumulated), 1)) > cumulated[:, :-1]).sum(axis=1)
            codes[row, start : start + len(drawn)] = drawn
    x, ends = np.eye(len(BASES), dtype=np.float32)[codes], [0, 3200, 3600, COUNT]
    parts = (slice(*ends[i : i + 2]) for i in range(3))
    return Splits(*(Labelled(x[part], y[part]) for part in parts))


def _weights(motif: str) -> np.ndarray:
    """Return the probabilities of the bases at each letter of a motif, `(W, 4)`."""
    ones = np.array([[base == letter for base in BASES] for letter in motif])
    return np.where(ones, SHARE, (1 - SHARE) / (len(BASES) - 1))


def optimum(data: Labelled) -> float:
    """Return the loss of Bayes' rule for `planted_motifs`; on average none is lower.

    The odds of a motif against none are the mean over its places.
    """
    odds = [np.zeros(len(data.y))]
    for motif in reversed(MOTIFS):
        gain = np.log(_weights(motif) * len(BASES))
        windows = np.lib.stride_tricks.sliding_window_view(data.x, len(motif), axis=1)
        scores = np.einsum("btcw,wc->bt", windows, gain)
        odds.insert(0, logsumexp(scores, axis=1) - np.log(scores.shape[1]))
    return loss_of(np.stack(odds, axis=1), data.y)
