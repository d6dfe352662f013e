"""`Task`: what the command `jaxnets train` knows of each task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flax import nnx

from jaxnets.runs.exhibits import Exhibit
from jaxnets.training import Loss, Recipe


class Outcome(NamedTuple):
    """What a task says of its trained network.

    Attributes:
        metrics: Figures by name, such as an accuracy and that of a baseline.
        exhibits: What its page shows.

    Example:
        >>> from jaxnets.tasks import Outcome
        >>> Outcome({"test_accuracy": 0.98, "floor_accuracy": 0.9}, []).exhibits
        []
    """

    metrics: dict[str, float]
    exhibits: list[Exhibit]


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
        outcome: `outcome(model, folder)` judges the trained network once. It may write
            files into the folder of the run. None if the losses say everything.
        measured: `measured(model)` returns the network whose gradients the report
            shows, and its loss. None means the model and `loss`. For a model of several
            networks.

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
    outcome: Callable[[Any, Path], Outcome] | None = None
    measured: Callable[[Any], tuple[nnx.Module, Loss]] | None = None


class SampleOptions(NamedTuple):
    """What samples are asked for.

    Attributes:
        count: Number of samples.
        length: Number of elements, such as characters, of each.
        temperature: As in `jaxnets.functional.sample_logits`.
        top_k: As there.
        top_p: As there.
        prompt: What a sample begins with, or what the network is asked; None is the
            choice of the task.
        seed: Seed of the random numbers.
        out: A folder for what is no text, such as a tune; None writes no files.

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
    out: Path | None = None


class Sampler(NamedTuple):
    """How a task makes samples with a trained network.

    Attributes:
        make: `make(rngs, about)` makes the network, with any weights; `about` is that
            of `Prepared`.
        draw: `draw(model, about, options)` returns the samples as texts.

    Example:
        >>> from flax import nnx
        >>> from jaxnets.tasks import task_of
        >>> sampler = task_of("characters").sampler
        >>> about = {"alphabet": [97, 98], "network": {"hidden": 8}}
        >>> sampler.make(nnx.Rngs(0), about).vocabulary
        2
    """

    make: Callable[[nnx.Rngs, Mapping[str, Any]], nnx.Module]
    draw: Callable[[Any, Mapping[str, Any], SampleOptions], list[str]]


class Task(NamedTuple):
    """A task; what it learns stands in the catalogue, `jaxnets.runs.catalogue.TASKS`.

    Attributes:
        name: Its name on the command line.
        recipe: How it is trained by default: a `Recipe`, or a subclass with more.
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
    prepare: Callable[[Any, Path | None], Prepared]
    sampler: Sampler | None = None
