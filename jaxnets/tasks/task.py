"""`Task`: what the command `jaxnets train` knows of each task."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from flax import nnx

from jaxnets.training import Loss, Recipe


class Prepared(NamedTuple):
    """A task with its data.

    Attributes:
        make: Makes the network, `make(rngs)`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.
        batch: `batch(step)` returns the batch of an update; it depends on the seed and
            on the step only.
        evaluation: Batches by name, the validation first.
        about: What to keep with the network, such as its alphabet, in the form of JSON.
        floor: The loss of the trivial baseline on the validation batch.

    Example:
        >>> from jaxnets.tasks import task_of
        >>> task = task_of("adding")
        >>> prepared = task.prepare(task.recipe, None)
        >>> prepared.batch(0).x.shape
        (64, 50, 2)
    """

    make: Callable[[nnx.Rngs], nnx.Module]
    loss: Loss
    batch: Callable[[int], Any]
    evaluation: dict[str, Any]
    about: dict[str, Any]
    floor: float


class Task(NamedTuple):
    """A task; what it learns stands in the catalogue, `jaxnets.runs.catalogue.TASKS`.

    Attributes:
        name: Its name on the command line.
        recipe: How it is trained by default.
        prepare: `prepare(recipe, data)` loads its data; `data` is the user's file or
            folder, or None for what every installation has.

    Example:
        >>> from jaxnets.tasks import task_of
        >>> task_of("images").recipe.optimizer
        'sgd'
    """

    name: str
    recipe: Recipe
    prepare: Callable[[Recipe, Path | None], Prepared]
