"""The commands with their arguments, as the rest of the command line gets them."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from jaxnets.bench.options import Options
from jaxnets.cli.streams import line


Format = Literal["html", "png", "svg"]
FORMATS: tuple[Format, ...] = get_args(Format)
# A larger number is surely mistyped, because more networks do not change the results.
MOST_SEEDS = 1000


class UsageError(Exception):
    """The arguments are wrong; the text tells the user why."""


# What the library calls by another name than the command line does.
OTHER_NAMES = {"path": "out"}


def complaint(error: UsageError, given: Mapping[str, object]) -> str:
    """Return a line on a mistake, with the name of an option instead of an argument.

    Args:
        error: Its text may come from the library, and begin with an argument's name.
        given: The options of the command by name; None if the user did not give one.

    Example:
        >>> complaint(UsageError("`top_k` is 0; wanted 1 or more."), {"top_k": 0})
        'jaxnets: --top-k is 0; wanted 1 or more.'
    """
    text = line(error)
    if found := re.match("`([a-z_]+)`", text):
        name = OTHER_NAMES.get(found[1], found[1])
        if given.get(name) is not None:
            text = f"--{name.replace('_', '-')}{text[found.end() :]}"
    return f"jaxnets: {text}"


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Contrast networks by how gradients flow in them.

    An argument that the user did not give is None, or empty for `studies`.

    Attributes:
        studies: Names of studies, or `all` for those that train.
        scale: Size of the run.
        seeds: Number of networks in each arm.
        dataset: Images for the studies that need some.
        out: Folder of a new run.
        resume: Folder of an interrupted run.
    """

    studies: tuple[str, ...] = ()
    scale: str | None = None
    seeds: int | None = None
    dataset: str | None = None
    out: Path | None = None
    resume: Path | None = None

    def __post_init__(self):
        _check_seeds(self.seeds)
        if self.resume is not None and self.out is not None:
            raise UsageError("--resume and --out both name a folder; give one of them.")


@dataclasses.dataclass(frozen=True)
class Check:
    """Say why the model that a Python file defines does not train.

    Attributes:
        file: The Python file.
        seeds: Number of networks.
        steps: Number of updates.
        json: Whether to print JSON.
        out: Folder of the page.
    """

    file: Path
    seeds: int = 3
    steps: int = 0
    json: bool = False
    out: Path | None = None

    def __post_init__(self):
        _check_seeds(self.seeds)
        if self.steps < 0:
            raise UsageError(f"--steps is {self.steps}; wanted at least 0.")


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a task, or go on with a run that was stopped.

    An argument that the user did not give is None.

    Attributes:
        task: Name of the task; None with `resume`.
        out: Folder of a new run.
        resume: Folder of a run that was stopped.
        data: The user's file or folder.
        steps: Number of updates.
        seed: Seed of the network and of the order of the data.
        checkpoint_every: Number of updates between two checkpoints.
        devices: Number of devices that share each batch.
        shards: Number of devices that each parameter is divided over.
        skip_nonfinite: Number of batches that may be not finite and are skipped.
        tensorboard: Whether to write TensorBoard's files too.
        settings: Further values of the recipe, by name.
        coordinator: HOST:PORT of the first of several processes, or `auto`.
        process_count: Number of processes.
        process_index: Index of this process.
    """

    task: str | None = None
    out: Path | None = None
    resume: Path | None = None
    data: Path | None = None
    steps: int | None = None
    seed: int | None = None
    checkpoint_every: int | None = None
    devices: int | None = None
    shards: int | None = None
    skip_nonfinite: int = 0
    tensorboard: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    coordinator: str | None = None
    process_count: int | None = None
    process_index: int | None = None

    def __post_init__(self):
        if (self.task is None) == (self.resume is None):
            raise UsageError("Give a task for a new run, or --resume with its folder.")
        given = [self.out, self.data, self.steps, self.seed, self.checkpoint_every]
        given += [self.settings or None]
        if self.resume is not None and any(value is not None for value in given):
            raise UsageError(
                "A run is resumed with its own arguments: give --resume without other "
                "arguments than those on devices and processes, or begin a new run."
            )
        self._check_once()
        least = {"devices": 1, "shards": 1, "process_count": 1, "skip_nonfinite": 0}
        for name, number in least.items():
            value = getattr(self, name)
            if value is not None and value < number:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} is {value}; wanted at least {number}.")
        self._check_processes()

    def _check_once(self) -> None:
        own = ("steps", "seed", "checkpoint_every")
        names = [name for name in own if getattr(self, name) is not None]
        names += [name for name, _ in self.settings]
        if twice := [name for name in names if names.count(name) > 1]:
            option = f" by --{twice[0].replace('_', '-')} or" if twice[0] in own else ""
            raise UsageError(
                f"The value of {twice[0]} is given twice; give it once,{option} by "
                f"--set {twice[0]}=VALUE."
            )

    def _check_processes(self) -> None:
        count, index = self.process_count, self.process_index
        if (count is None) != (index is None):
            raise UsageError("Give --process-count and --process-index together.")
        if self.coordinator is None:
            if count is not None:
                raise UsageError("--process-count needs --coordinator HOST:PORT.")
            return
        if count is not None and index is not None and not 0 <= index < count:
            raise UsageError(
                f"--process-index is {index} of {count} processes; wanted 0 to "
                f"{count - 1}."
            )
        _, colon, port = self.coordinator.rpartition(":")
        if self.coordinator != "auto" and not (colon and port.isdigit()):
            raise UsageError(
                f"--coordinator is {self.coordinator!r}; wanted HOST:PORT, such as "
                "127.0.0.1:6000, or auto under a launcher that JAX knows."
            )
        if self.resume is None and self.out is None:
            raise UsageError(
                "Several processes write one folder, which all of them see: give --out."
            )


@dataclasses.dataclass(frozen=True)
class Sample:
    """Print what the network of a run of `jaxnets train` makes.

    Attributes:
        run: Folder of the run.
        options: Values of `jaxnets.tasks.SampleOptions`, those that the user gave.
    """

    run: Path
    options: Mapping[str, int | float | str | Path]


@dataclasses.dataclass(frozen=True)
class Report:
    """Draw the report of a run again, or write its charts as files.

    Attributes:
        run: Folder of the run.
        format: What to write.
    """

    run: Path
    format: Format = "html"


@dataclasses.dataclass(frozen=True)
class Bench(Options):
    """Time this library beside Flax and PyTorch."""


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Show versions and devices, and check that the library works on them."""


def _check_seeds(seeds: int | None) -> None:
    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        wanted = "at least 1" if seeds < 1 else f"at most {MOST_SEEDS}"
        raise UsageError(f"--seeds is {seeds}; wanted {wanted}.")
