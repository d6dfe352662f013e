"""Adding: a recurrent network that adds two marked numbers of a long sequence."""

from pathlib import Path

import jax
import numpy as np

from jaxnets import models, nn
from jaxnets.data import Labelled, adding_problem
from jaxnets.tasks.task import Prepared, Task
from jaxnets.training import Recipe, random_key, regression


LENGTH, HIDDEN, EVALUATED = 50, 64, 512


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Generate the batches.

    Args:
        recipe: Its seed and batch size decide them.
        data: Must be None, because the task is generated.

    Raises:
        ValueError: If `data` is given.
    """
    if data is not None:
        raise ValueError("The adding problem is generated, so it takes no --data.")
    key = random_key(recipe.seed)
    draw = jax.jit(
        lambda step: adding_problem(
            jax.random.fold_in(key, step), recipe.batch_size, LENGTH
        )
    )
    batch = lambda step: jax.tree.map(np.asarray, draw(step))
    held_out = adding_problem(random_key(2**32 - 1), EVALUATED, LENGTH)
    validation = Labelled(*map(np.asarray, held_out))
    floors = lambda: {"floor": float(np.var(validation.y))}
    return Prepared(_make, regression, batch, {"validation": validation}, {}, floors)


def _make(rngs) -> models.ManyToOne:
    return models.ManyToOne(nn.LSTM, 2, HIDDEN, 1, rngs=rngs)


TASK = Task(
    "adding",
    Recipe(
        steps=1500,
        batch_size=64,
        learning_rate=5e-3,
        evaluate_every=250,
        checkpoint_every=250,
    ),
    prepare,
)
