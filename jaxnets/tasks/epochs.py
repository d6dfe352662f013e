"""Batches of a task whose epochs each have all examples, in a new order."""

from collections.abc import Callable
from typing import Any

import jax

from jaxnets.training import Recipe, rows_of_step


def batches_of(recipe: Recipe, training: Any, examples: str) -> Callable[[int], Any]:
    """Return `batch(step)`, which takes rows of the training examples.

    Args:
        recipe: Its seed and batch size decide the rows.
        training: NumPy arrays as a pytree, with the examples along the first axis.
        examples: What they are called, for the error.

    Raises:
        ValueError: If a batch is larger than the number of examples.
    """
    count = len(jax.tree.leaves(training)[0])
    check_batch_size(recipe, count, examples)

    def batch(step: int) -> Any:
        rows = rows_of_step(recipe.seed, step, count, recipe.batch_size)
        return jax.tree.map(lambda array: array[rows], training)

    return batch


def check_batch_size(recipe: Recipe, count: int, examples: str) -> None:
    """Check that there are enough examples for a batch, before a run is begun.

    Args:
        recipe: Has the batch size.
        count: Number of training examples.
        examples: What they are called, such as "training images".

    Raises:
        ValueError: If a batch is larger than the number of examples.
    """
    if recipe.batch_size > count:
        raise ValueError(
            f"`batch_size` is {recipe.batch_size}, and there are {count} {examples}; "
            "wanted at most that many."
        )
