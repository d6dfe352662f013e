"""The network of spoken words, its loss, and the words that it hears."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn
from jaxnets.typing import ArrayLike


BANDS, CHANNELS, WINDOW, POOL, HIDDEN, DROPOUT = 40, 96, 5, 2, 64, 0.3
# Nats below the loudest moment of a sound under which all values count as equal.
RANGE = 9.0
# The class that stands for no word; those of the words follow.
BLANK = 0


class Utterances(NamedTuple):
    """Sounds with the words that are spoken in them.

    Attributes:
        x: Log-mel spectrograms `(B, T, BANDS)`.
        lengths: Number of frames of each, `(B,)`.
        labels: Classes of its words from 1 on, `(B, L)`; 0 after the last word.
    """

    x: ArrayLike
    lengths: ArrayLike
    labels: ArrayLike


class Network(nnx.Module):
    """Convolutions over time, and a GRU in both directions.

    Args:
        rngs: Source of randomness.
        words: Number of words.
    """

    def __init__(self, rngs: nnx.Rngs, words: int):
        self.conv = nn.Conv(BANDS, CHANNELS, (WINDOW,), rngs=rngs)
        self.conv2 = nn.Conv(CHANNELS, CHANNELS, (WINDOW,), rngs=rngs)
        self.recurrent = nn.GRU(CHANNELS, HIDDEN, bidirectional=True, rngs=rngs)
        self.output = nnx.Linear(2 * HIDDEN, 1 + words, rngs=rngs)
        self.dropout = nnx.Dropout(DROPOUT, rngs=rngs)

    def __call__(self, x, lengths) -> jax.Array:
        """Return the logits of blank and words, `(B, T // POOL, 1 + words)`."""
        # A louder voice adds the same number to the logarithms of all energies, and
        # what is far below its loudest moment is the noise of the room.
        valid = _valid(lengths, x.shape[1])
        loudest = jnp.max(x, (1, 2), keepdims=True, where=valid, initial=-jnp.inf)
        x = jnp.maximum(x - loudest, -RANGE)
        x = _without_padding((x + RANGE / 2) / 4, lengths)
        x = F.max_pool(jax.nn.relu(self.conv(x)), (POOL,))
        frames = lengths // POOL
        x = jax.nn.relu(self.conv2(_without_padding(self.dropout(x), frames)))
        _, ys = self.recurrent(self.dropout(x), lengths=frames)
        return self.output(self.dropout(ys))


def _valid(lengths: ArrayLike, frames: int) -> jax.Array:
    """Return whether each frame belongs to the sound, `(B, frames, 1)`."""
    return jnp.arange(frames)[:, None] < jnp.asarray(lengths)[:, None, None]


def _without_padding(x: jax.Array, lengths: ArrayLike) -> jax.Array:
    return jnp.where(_valid(lengths, x.shape[1]), x, 0)


def word_loss(
    model: Callable[[Any, Any], jax.Array], batch: Utterances
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of connectionist temporal classification, and the accuracy.

    The loss is `-log p(words)` in nats, where `p(words)` sums over all ways to give
    each frame a word or a blank, so that without repetitions and blanks the words are
    left. The accuracy is the share of sounds whose words `decode` hears without fault.

    Source: Graves et al. 2006, "Connectionist Temporal Classification".
    """
    logits = model(batch.x, batch.lengths)
    frames = jnp.asarray(batch.lengths) // POOL
    labels = jnp.asarray(batch.labels)
    padded = (jnp.arange(logits.shape[1]) >= frames[:, None]).astype(logits.dtype)
    blank = (labels == BLANK).astype(logits.dtype)
    losses = optax.ctc_loss(logits, padded, labels, blank, blank_id=BLANK)
    # One place more than the labels have, so that an extra word is an error.
    heard = decode(logits, frames, labels.shape[1] + 1)
    hits = jnp.all(heard == jnp.pad(labels, ((0, 0), (0, 1))), axis=1)
    return jnp.mean(losses), {"accuracy": jnp.mean(hits, dtype=jnp.float32)}


def decode(logits: ArrayLike, frames: ArrayLike, most: int) -> jax.Array:
    """Return the likeliest class of each frame without repetitions and blanks.

    Args:
        logits: `(B, T, 1 + words)`.
        frames: Number of frames of each sound, `(B,)`.
        most: Number of words after which the rest is left out.

    Returns:
        Classes `(B, most)`, with 0 after the last word.

    Example:
        >>> path = jnp.array([[0, 3, 3, 0, 3, 1, 1, 2]])
        >>> decode(jax.nn.one_hot(path, 4), jnp.array([7]), 5)
        Array([[3, 3, 1, 0, 0]], dtype=int32)
    """
    best = jnp.argmax(jnp.asarray(logits), axis=-1).astype(jnp.int32)
    before = jnp.pad(best, ((0, 0), (1, 0)))[:, :-1]
    valid = _valid(frames, best.shape[1])[..., 0]
    kept = (best != BLANK) & (best != before) & valid
    place = jnp.where(kept, jnp.cumsum(kept, axis=1) - 1, most)
    row = jnp.arange(len(best))[:, None]
    empty = jnp.zeros((len(best), most), jnp.int32)
    return empty.at[row, place].set(best, mode="drop")
