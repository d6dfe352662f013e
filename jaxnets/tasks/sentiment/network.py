"""A convolutional and a recurrent network side by side, and what each word adds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxnets import models, nn
from jaxnets.tasks.sentiment.sentences import UNKNOWN, Sentences
from jaxnets.typing import ArrayLike


FEATURES, CHANNELS, WINDOW, HIDDEN, DROPOUT = 64, 64, 5, 48, 0.5
NAMES = ("cnn", "lstm")


class Network(nnx.Module):
    """Two networks that share no weights, so that each learns as if it were alone.

    Args:
        rngs: Source of randomness.
        vocabulary: Number of words.
    """

    def __init__(self, rngs: nnx.Rngs, vocabulary: int):
        codes = vocabulary + UNKNOWN + 1
        self.cnn = Convolutional(rngs, codes)
        self.lstm = Recurrent(rngs, codes)

    def __call__(self, words, lengths) -> jax.Array:
        """Return the log-odds of praise by CNN and LSTM, `(B, 2)`."""
        both = self.cnn(words, lengths), self.lstm(words, lengths)
        return jnp.concatenate(both, axis=1)


class Convolutional(nnx.Module):
    """Kernels over some words each, and the largest response of each kernel.

    Source: Kim 2014, "Convolutional Neural Networks for Sentence Classification".
    """

    def __init__(self, rngs: nnx.Rngs, codes: int):
        self.embedding = nnx.Embed(codes, FEATURES, rngs=rngs)
        self.conv = nn.Conv(FEATURES, CHANNELS, (WINDOW,), rngs=rngs)
        self.output = nnx.Linear(CHANNELS, 1, rngs=rngs)
        self.dropout = nnx.Dropout(DROPOUT, rngs=rngs)

    def __call__(self, words, lengths) -> jax.Array:
        """Return the log-odds of praise, `(B, 1)`."""
        valid = jnp.arange(words.shape[1])[:, None] < lengths[:, None, None]
        x = jnp.where(valid, self.dropout(self.embedding(words)), 0)
        # A response is at least 0, so that what is padded is never the largest.
        x = jnp.where(valid, jax.nn.relu(self.conv(x)), 0)
        return self.output(self.dropout(x.max(axis=1)))


class Recurrent(nnx.Module):
    """An LSTM that reads a sentence in both directions."""

    def __init__(self, rngs: nnx.Rngs, codes: int):
        self.embedding = nnx.Embed(codes, FEATURES, rngs=rngs)
        self.head = models.ManyToOne(
            nn.LSTM, FEATURES, HIDDEN, 1, bidirectional=True, rngs=rngs
        )
        self.dropout = nnx.Dropout(DROPOUT, rngs=rngs)

    def __call__(self, words, lengths) -> jax.Array:
        """Return the log-odds of praise, `(B, 1)`."""
        return self.head(self.dropout(self.embedding(words)), lengths)


def sentiment_loss(
    model: Network, batch: Sentences
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the mean loss of both networks in nats, and the figures of each."""
    odds = model(jnp.asarray(batch.words), jnp.asarray(batch.lengths))
    labels = jnp.asarray(batch.y)[:, None]
    losses = optax.sigmoid_binary_cross_entropy(odds, labels).mean(axis=0)
    hits = ((odds > 0) == labels).mean(axis=0, dtype=jnp.float32)
    figures = {}
    for number, name in enumerate(NAMES):
        figures |= {f"{name}_loss": losses[number], f"{name}_accuracy": hits[number]}
    return losses.mean(), figures


def word_effects(model: Network, words: ArrayLike) -> np.ndarray:
    """Return how much each word of one sentence adds to the log-odds, `(T, 2)`.

    It is the log-odds of the sentence less those of the sentence without the word.

    Args:
        model: The network.
        words: The codes of the sentence, `(T,)`, without padding.
    """
    words = np.asarray(words)
    count = len(words)
    rows = np.zeros((count + 1, count), np.int32)
    rows[0] = words
    for place in range(count):
        rows[place + 1, : count - 1] = np.delete(words, place)
    lengths = np.array([count, *[count - 1] * count], np.int32)
    odds = np.asarray(nnx.jit(model)(rows, lengths))
    return odds[0] - odds[1:]
