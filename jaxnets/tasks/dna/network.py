"""The network of DNA sequences, which begins as the table of positions."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.tasks.dna.positions import PositionTable
from jaxnets.tasks.dna.sequences import BASES


CHANNELS, WINDOW, POOL, HIDDEN, DROPOUT, POSITION_DROPOUT = 64, 9, 3, 32, 0.5, 0.4


def _given(values: np.ndarray) -> nnx.Initializer:
    """Return an initialiser that takes the weights as they are."""
    return lambda key, shape, dtype=None, **_: jnp.asarray(values, dtype)


class Network(nnx.Module):
    """Kernels and a recurrent layer for motifs at any place, and weights of positions.

    The sequences of UCI are aligned, so that a linear layer of all positions is hard to
    beat there; it sees no motif whose place varies. Before training its weights are
    those of the table of positions, and the weights on the motifs are zero, so that the
    network begins as good as the table.

    Args:
        rngs: Source of randomness.
        table: The table of the training sequences.
    """

    def __init__(self, rngs: nnx.Rngs, table: PositionTable):
        classes, length, _ = table.weights.shape
        self.conv = nn.Conv(len(BASES), CHANNELS, (WINDOW,), rngs=rngs)
        self.head = models.ManyToOne(
            nn.GRU, CHANNELS, HIDDEN, classes, bidirectional=True, rngs=rngs
        )
        self.head.output.kernel[...] = jnp.zeros((2 * HIDDEN, classes))
        # The mean over the classes has no effect on their probabilities.
        weights = table.weights - table.weights.mean(axis=0)
        self.positions = nnx.Linear(
            length * len(BASES),
            classes,
            kernel_init=_given(weights.reshape(classes, -1).T),
            bias_init=_given(table.prior),
            rngs=rngs,
        )
        # UCI's files are small: without dropout the network learns them by heart.
        self.motif_dropout = nnx.Dropout(DROPOUT, rngs=rngs)
        self.position_dropout = nnx.Dropout(POSITION_DROPOUT, rngs=rngs)

    def __call__(self, x) -> jax.Array:
        """Return the logits of sequences `x (B, T, 4)`."""
        motifs = F.max_pool(self.responses(x), (POOL,))
        positions = self.position_dropout(x).reshape(len(x), -1)
        return self.head(self.motif_dropout(motifs)) + self.positions(positions)

    def responses(self, x) -> jax.Array:
        """Return the response of each kernel at each place, `(B, T, CHANNELS)`."""
        return jax.nn.relu(self.conv(x))
