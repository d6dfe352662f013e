"""`Task`: what the command `jaxnets train` knows of each task."""

from collections.abc import Callable, Mapping
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
        about: What is kept with each checkpoint, such as the alphabet, in the form of
            JSON.
        floors: Returns the losses of baselines on the validation batch by name. The
            trivial one is `floor`.

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
    floors: Callable[[], dict[str, float]]


class SampleOptions(NamedTuple):
    """What samples are asked for.

    Attributes:
        count: Number of samples.
        length: Number of elements, such as characters, of each.
        temperature: As in `jaxnets.functional.sample_logits`.
        top_k: As there.
        top_p: As there.
        prompt: What a sample begins with; None is the choice of the task.
        seed: Seed of the random numbers.

    Example:
        >>> from jaxnets.tasks import SampleOptions
        >>> SampleOptions(length=100).count
        1
    """

    count: int = 1
    length: int = 500
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    prompt: str | None = None
    seed: int = 0


class Sampler(NamedTuple):
    """How a task makes samples with a trained network.

    Attributes:
        make: `make(about)` makes the network; `about` is that of `Prepared`.
        draw: `draw(model, about, options)` returns the samples as texts.

    Example:
        >>> from jaxnets.tasks import task_of
        >>> sampler = task_of("characters").sampler
        >>> sampler.make({"alphabet": [97, 98]}).vocabulary
        2
    """

    make: Callable[[Mapping[str, Any]], nnx.Module]
    draw: Callable[[Any, Mapping[str, Any], SampleOptions], list[str]]


class Task(NamedTuple):
    """A task; what it learns stands in the catalogue, `jaxnets.runs.catalogue.TASKS`.

    Attributes:
        name: Its name on the command line.
        recipe: How it is trained by default.
        prepare: `prepare(recipe, data)` loads its data; `data` is the user's file or
            folder, or None for what every installation has.
        sampler: Makes samples; None if the task has none.

    Example:
        >>> from jaxnets.tasks import task_of
        >>> task_of("images").recipe.optimizer
        'sgd'
    """

    name: str
    recipe: Recipe
    prepare: Callable[[Recipe, Path | None], Prepared]
    sampler: Sampler | None = None
