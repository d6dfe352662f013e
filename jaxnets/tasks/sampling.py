"""`sample_run`: what the network of a run makes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flax import nnx

from jaxnets.arguments import as_count
from jaxnets.runs.catalogue import SAMPLES, SAMPLES_IN_FILES
from jaxnets.runs.files import check_writable
from jaxnets.tasks.run import TrainConfig, task_of
from jaxnets.tasks.task import SampleOptions, Sampler
from jaxnets.training import load_trained, random_key


def sample_run(
    folder: Path,
    options: SampleOptions | None = None,
    *,
    say: Callable[[str], object] = print,
) -> list[str]:
    """Draw samples with the network of a run, from its newest intact checkpoint.

    It changes nothing in the folder, so the run may still be going on.

    Args:
        folder: The folder of the run.
        options: What is asked for; None is the default.
        say: Tells the user about checkpoints that are passed over.

    Returns:
        The samples, as texts.

    Raises:
        FileNotFoundError: If the folder holds no run, or it has no intact checkpoint.
        ValueError: If the run cannot be read or its task makes no samples, or an option
            has a wrong value.

    Example:
        >>> from pathlib import Path
        >>> from jaxnets.tasks import SampleOptions, sample_run
        >>> sample_run(Path("runs/missing"), SampleOptions(length=80, prompt="The"))
        Traceback (most recent call last):
            ...
        FileNotFoundError: runs/missing holds no run: there is no config.json in it. ...
    """
    options = options or SampleOptions()
    as_count(options.count, "count")
    as_count(options.length, "length")
    config = TrainConfig.read(folder)
    task = task_of(config.task)
    if task.sampler is None:
        raise ValueError(
            f"{folder} holds a run of the task {config.task!r}, which makes no "
            f"samples; wanted a run of {', '.join(SAMPLES)}."
        )
    if options.out is not None:
        if config.task not in SAMPLES_IN_FILES:
            raise ValueError(
                f"`out` is {options.out}, but a sample of the task {config.task!r} is "
                "a text, which is printed; leave `out` out."
            )
        check_writable(options.out, "out")
    make = made_again(task.sampler)
    trained, about = load_trained(make, config.recipe, folder, say=say)
    return task.sampler.draw(trained.model, about, options)


def made_again(sampler: Sampler) -> Callable[[Mapping[str, Any]], nnx.Module]:
    """Return `make(about)`, whose networks have keys of the kind that runs have.

    A network with dropout keeps its key, so a checkpoint fits no other kind.
    """
    return lambda about: sampler.make(nnx.Rngs(random_key(0)), about)
