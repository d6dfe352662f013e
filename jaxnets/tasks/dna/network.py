"""The network of DNA sequences, which begins with the table of positions."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.tasks.dna.positions import PositionTable
from jaxnets.tasks.dna.sequences import BASES


CHANNELS, WINDOW, POOL, HIDDEN, DROPOUT = 64, 9, 3, 32, 0.5
# Bases of the longest word that has a weight at each place.
LONGEST = 3


def _given(values: np.ndarray) -> nnx.Initializer:
    """Return an initialiser that takes the weights as they are."""
    return lambda key, shape, dtype=None, **_: jnp.asarray(values, dtype)


def words_of(x) -> jax.Array:
    """Return which words of one to three bases stand at each place.

    Args:
        x: Shares of the bases at each place, `(B, T, 4)`.

    Returns:
        `(B, 4 T + 16 (T - 1) + 64 (T - 2))`; the words of one base come first.
    """
    x = jnp.asarray(x)
    word, found = x, [x.reshape(len(x), -1)]
    for size in range(1, min(LONGEST, x.shape[1])):
        word = word[:, :-1, :, None] * x[:, size:, None, :]
        word = word.reshape(*word.shape[:2], -1)
        found.append(word.reshape(len(x), -1))
    return jnp.concatenate(found, axis=1)


class Network(nnx.Module):
    """Kernels and a recurrent layer for motifs at any place, and weights of words.

    The sequences of UCI are aligned, so that a linear layer of what stands at each
    place is hard to beat there; it sees no motif whose place varies. It has a weight
    for each word of one to three bases at each place. Before training the weights of
    single bases are a share of those of the table of positions, and all others are
    zero, so that the network begins with the decisions of the table.

    Args:
        rngs: Source of randomness.
        table: The table of the training sequences.
        share: The share of the table that the network begins with.
        dropout: Rate of dropout of the words.

    Source: Sonnenburg, Rätsch and Schölkopf 2005, "Large Scale Genomic Sequence SVM
    Classifiers", for words at each place (the weighted degree kernel).
    """

    def __init__(
        self, rngs: nnx.Rngs, table: PositionTable, *, share: float, dropout: float
    ):
        classes, length, _ = table.weights.shape
        self.conv = nn.Conv(len(BASES), CHANNELS, (WINDOW,), rngs=rngs)
        self.head = models.ManyToOne(
            nn.GRU, CHANNELS, HIDDEN, classes, bidirectional=True, rngs=rngs
        )
        self.head.output.kernel[...] = jnp.zeros((2 * HIDDEN, classes))
        # The mean over the classes has no effect on their probabilities.
        bases = table.weights - table.weights.mean(axis=0)
        one = np.zeros((1, length, len(BASES)))
        weights = np.zeros((jax.eval_shape(words_of, one).shape[1], classes))
        weights[: one.size] = share * bases.reshape(classes, -1).T
        self.words = nnx.Linear(
            len(weights),
            classes,
            kernel_init=_given(weights),
            bias_init=_given(share * table.prior),
            rngs=rngs,
        )
        # UCI's files are small: without dropout the network learns them by heart.
        self.motif_dropout = nnx.Dropout(DROPOUT, rngs=rngs)
        self.word_dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, x) -> jax.Array:
        """Return the logits of sequences `x (B, T, 4)`."""
        motifs = F.max_pool(self.responses(x), (POOL,))
        words = self.word_dropout(words_of(x))
        return self.head(self.motif_dropout(motifs)) + self.words(words)

    def responses(self, x) -> jax.Array:
        """Return the response of each kernel at each place, `(B, T, CHANNELS)`."""
        return jax.nn.relu(self.conv(x))
