"""The network of DNA sequences."""

import jax
from flax import nnx

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.tasks.dna.sequences import BASES


CHANNELS, WINDOW, POOL, HIDDEN, DROPOUT = 64, 9, 3, 32, 0.5


class Network(nnx.Module):
    """Kernels and a recurrent layer for motifs at any place, and weights of positions.

    The sequences of UCI are aligned, so that a linear layer of all positions is hard to
    beat there; it sees no motif whose place varies.
    """

    def __init__(self, rngs: nnx.Rngs, length: int, classes: int):
        self.conv = nn.Conv(len(BASES), CHANNELS, (WINDOW,), rngs=rngs)
        self.head = models.ManyToOne(
            nn.GRU, CHANNELS, HIDDEN, classes, bidirectional=True, rngs=rngs
        )
        self.positions = nnx.Linear(length * len(BASES), classes, rngs=rngs)
        # UCI's files are small: without dropout the network learns them by heart.
        self.motif_dropout = nnx.Dropout(DROPOUT, rngs=rngs)
        self.position_dropout = nnx.Dropout(DROPOUT / 2, rngs=rngs)

    def __call__(self, x) -> jax.Array:
        """Return the logits of sequences `x (B, T, 4)`."""
        motifs = F.max_pool(jax.nn.relu(self.conv(x)), (POOL,))
        positions = self.position_dropout(x).reshape(len(x), -1)
        return self.head(self.motif_dropout(motifs)) + self.positions(positions)
