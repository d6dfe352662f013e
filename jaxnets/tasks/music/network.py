"""The loss of the task."""

import jax

from jaxnets import models
from jaxnets.data import Labelled
from jaxnets.tasks.music.tunes import TuneBatch
from jaxnets.training import classification


def loss(
    model: models.CharacterModel, batch: TuneBatch
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the cross-entropy in nats a character, and the accuracy.

    The memory is cleared where a tune begins, because it knows nothing of others.
    """
    logits = lambda x: model.advance(None, x, resets=batch.resets)[1]
    return classification(logits, Labelled(batch.x, batch.y))
