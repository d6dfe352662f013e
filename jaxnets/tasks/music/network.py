"""The network of the task and its loss."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx

from jaxnets import models, nn
from jaxnets.data import Labelled
from jaxnets.tasks.music.tunes import TuneBatch
from jaxnets.tasks.writing import alphabet_of
from jaxnets.training import classification


HIDDEN, LAYERS, DROPOUT = 192, 2, 0.2


def make(rngs: nnx.Rngs, vocabulary: int) -> models.CharacterModel:
    """Return the network for an alphabet of so many characters."""
    return models.CharacterModel(
        nn.LSTM, vocabulary, HIDDEN, num_layers=LAYERS, dropout=DROPOUT, rngs=rngs
    )


def made_again(rngs: nnx.Rngs, about: Mapping[str, Any]) -> models.CharacterModel:
    """Return a network for the weights of a checkpoint."""
    return make(rngs, len(alphabet_of(about)))


def loss(
    model: models.CharacterModel, batch: TuneBatch
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the cross-entropy in nats a character, and the accuracy.

    The memory is cleared where a tune begins, because it knows nothing of others.
    """
    logits = lambda x: model.advance(None, x, resets=batch.resets)[1]
    return classification(logits, Labelled(batch.x, batch.y))
