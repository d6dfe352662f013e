"""`run_task`: a task, its recipe and its folder become a run that can be resumed."""

import contextlib
import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flax import nnx

from jaxnets._version import __version__
from jaxnets.arguments import as_count
from jaxnets.gradflow import verdicts
from jaxnets.gradflow.evidence.collector import Collector
from jaxnets.runs.catalogue import TASKS
from jaxnets.runs.configuration import differences, other_command
from jaxnets.runs.exhibits import write_exhibits
from jaxnets.runs.files import json_text, read_json, write_text
from jaxnets.runs.lock import run_lock
from jaxnets.runs.records import Record, read_records, write_records
from jaxnets.tasks.task import Prepared, Task
from jaxnets.training import Recipe, Trained, make_optimizer, random_key, train
from jaxnets.training.machine import environment
from jaxnets.training.trainer.placement import Placement
from jaxnets.training.trainer.processes import is_first
from jaxnets.training.trainer.recipe import training_loss


CONFIG, RECORDS, SUMMARY = "config.json", "records.csv", "summary.json"
BOARD = "tensorboard"


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """What a run was asked for: the contents of its `config.json`.

    Attributes:
        task: Name of the task.
        recipe: How it is trained.
        data: The user's file or folder; None for the default.
        devices: Number of devices that share each batch. A run can be resumed on
            another number of them, and with other `shards`.
        shards: Number of devices that each parameter is divided over.
        version: The version of jaxnets.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If there are no devices or shards.

    Example:
        >>> from jaxnets.tasks import TrainConfig, task_of
        >>> TrainConfig("adding", task_of("adding").recipe).devices
        1
    """

    task: str
    recipe: Recipe
    data: str | None = None
    devices: int = 1
    shards: int = 1
    version: str = __version__

    def __post_init__(self) -> None:
        as_count(self.devices, "devices")
        as_count(self.shards, "shards")
        for name in ("task", "version", *([] if self.data is None else ["data"])):
            if not isinstance(value := getattr(self, name), str):
                raise TypeError(f"`{name}` is {value!r}; wanted a string.")

    @classmethod
    def read(cls, folder: Path) -> "TrainConfig":
        """Return the configuration of the run in `folder`.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it cannot be read as one.
        """
        try:
            values = read_json(folder / CONFIG)
            if values is None:
                raise FileNotFoundError(
                    f"{folder} holds no run: there is no {CONFIG} in it. Give the "
                    "folder that `jaxnets train` printed."
                )
            if not (other := other_command(values, "train", folder)):
                return cls._parsed(values)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{folder / CONFIG} cannot be read as the configuration of a training: "
                f"{str(error).rstrip('.')}. Correct the file, or begin a new run."
            ) from error
        raise ValueError(other)

    @classmethod
    def _parsed(cls, values: dict[str, Any]) -> "TrainConfig":
        name: Any = values.get("task")
        kind = type(task_of(name).recipe)
        recipe = kind(**values.pop("recipe", {}))
        return cls(recipe=recipe, **values)


def _deciding(config: TrainConfig) -> dict[str, Any]:
    """Return what decides the run; the devices change no more than the rounding."""
    values = dataclasses.asdict(config)
    del values["devices"], values["shards"]
    return {**values.pop("recipe"), **values}


def task_of(name: str) -> Task:
    """Return the task of the catalogue that is called `name`.

    Args:
        name: Its name on the command line.

    Returns:
        The task.

    Raises:
        ValueError: If there is none.

    Example:
        >>> from jaxnets.tasks import task_of
        >>> task_of("adding").recipe.optimizer
        'adam'
    """
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(f"`task` is {name!r}; wanted one of {', '.join(TASKS)}.")
    return importlib.import_module(f"jaxnets.tasks.{name}").TASK


def run_task(
    config: TrainConfig,
    folder: Path,
    *,
    asked_to_stop: Callable[[], bool] | None = None,
    on_call: Callable[[int, Mapping[str, float]], object] | None = None,
    skip_nonfinite: int = 0,
    tensorboard: bool = False,
    say: Callable[[str], object] = print,
) -> Trained:
    """Train a task in `folder`, or go on from its newest intact checkpoint.

    Args:
        config: What is asked for. If the folder holds a run, it is that of the run.
        folder: Holds `config.json`, `metrics.jsonl`, `records.csv`, `checkpoints/` and
            `summary.json`.
        asked_to_stop: Asked after every call of at most some seconds.
        on_call: Gets the step and the figures of the last update.
        skip_nonfinite: Number of batches that may be not finite and are skipped.
        tensorboard: Whether the metrics also go to TensorBoard's files, in the folder
            `tensorboard`. A run that has this folder goes on with it.
        say: Tells the user what was found damaged.

    Returns:
        The trained network and its figures, with the losses of the baselines.

    Raises:
        ValueError: If the folder holds a run of another configuration or version, the
            data is wrong, or a batch cannot be shared by the devices.
        BlockingIOError: If another process trains in this folder.
        OSError: If a file cannot be read or written, or another process of the run has
            ended.
        NonFiniteBatch: If a batch gives a loss that is not finite.
        ImportError: If nothing can write TensorBoard's files.

    Example:
        >>> import dataclasses
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jaxnets.tasks import TrainConfig, run_task, task_of
        >>> recipe = dataclasses.replace(task_of("adding").recipe, steps=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trained = run_task(TrainConfig("adding", recipe), Path(folder))
        >>> trained.step
        2
    """
    # A folder that holds something is refused to another command. So what is wrong with
    # the devices, the data or the loss is found before anything is written.
    check_config(config)
    data = None if config.data is None else Path(config.data)
    prepared = task_of(config.task).prepare(config.recipe, data)
    training_loss(prepared.loss, config.recipe)
    folder.mkdir(parents=True, exist_ok=True)
    # One process holds the lock and writes the files, for all.
    with run_lock(folder) if is_first() else contextlib.nullcontext():
        if is_first():
            _write_config(config, folder)
        board = folder / BOARD
        model = prepared.make(nnx.Rngs(random_key(config.recipe.seed)))
        trained = train(
            model,
            prepared.loss,
            prepared.batch,
            config.recipe,
            folder,
            evaluation=prepared.evaluation,
            devices=config.devices,
            shards=config.shards,
            skip_nonfinite=skip_nonfinite,
            about={**prepared.about, **_deciding(config), "version": __version__},
            asked_to_stop=asked_to_stop,
            on_call=on_call,
            on_evaluation=_Measurements(config, prepared, folder),
            tensorboard=board if tensorboard or board.exists() else None,
            say=say,
        )
        if is_first():
            floors = prepared.floors().items()
            trained.metrics |= {f"{name}_loss": loss for name, loss in floors}
            _add_outcome(prepared, trained, folder)
            _write_summary(config, trained, folder)
    return trained


def check_config(config: TrainConfig) -> None:
    """Check that a run has its devices and its data, which takes no time.

    Raises:
        ValueError: If a batch cannot be shared by the devices.
        FileNotFoundError: If the user's file or folder is not there.
    """
    Placement(config.devices, config.shards, config.recipe.batch_size)
    if config.data is not None and not Path(config.data).exists():
        raise FileNotFoundError(
            f"`data` is {config.data}, where there is nothing; wanted the file or "
            "folder of the data."
        )


def _write_config(config: TrainConfig, folder: Path) -> None:
    """Write the configuration, after checking that it is that of the run, if any."""
    if (folder / CONFIG).exists():
        _check_same(config, folder)
    text = json.dumps(dataclasses.asdict(config), indent=1)
    write_text(folder / CONFIG, text + "\n")


def _check_same(config: TrainConfig, folder: Path) -> None:
    found = differences(_deciding(config), _deciding(TrainConfig.read(folder)))
    if found:
        raise ValueError(
            f"{folder} holds a run of another configuration: {found}. Resume it "
            "as it began, with --resume and nothing else, or choose another --out."
        )


class _Measurements:
    """Measures the gradient's flow at every evaluation, and keeps the records."""

    def __init__(self, config: TrainConfig, prepared: Prepared, folder: Path):
        self._name = config.task
        # The optimiser starts anew at each measurement. So no update is delayed, or has
        # a rate of zero because the rate still rises.
        self._optimizer = make_optimizer(
            dataclasses.replace(
                config.recipe, schedule="constant", warmup=0, accumulate=1
            )
        )
        self._batch = prepared.batch(0)
        self._path = folder / RECORDS
        self._part = prepared.measured or (lambda model: (model, prepared.loss))
        self._collector: Collector | None = None

    def __call__(self, step: int, model: nnx.Module) -> None:
        network, loss = self._part(model)
        if self._collector is None:
            arguments: list[tuple[Any, ...]] = [(self._batch,)]
            self._collector = Collector(
                loss, network, arguments, optimizer=self._optimizer, name=self._name
            )
        before = read_records(self._path) if self._path.exists() else []
        kept: list[Record] = [record for record in before if record.step < step]
        write_records(self._path, [*kept, *self._collector.at(network, step)])


def _add_outcome(prepared: Prepared, trained: Trained, folder: Path) -> None:
    """Add what the task says of the network once its training has ended."""
    if prepared.outcome is None or trained.stopped:
        return
    trained.model.eval()
    outcome = prepared.outcome(trained.model, folder)
    trained.metrics |= outcome.metrics
    write_exhibits(folder, outcome.exhibits)


def _write_summary(config: TrainConfig, trained: Trained, folder: Path) -> None:
    found = verdicts(read_records(folder / RECORDS))
    summary = {
        "task": config.task,
        "step": trained.step,
        "metrics": trained.metrics,
        "params_sha256": trained.params_sha256,
        "skipped": trained.skipped,
        "verdicts": [verdict._asdict() for verdict in found],
        "environment": environment(),
    }
    write_text(folder / SUMMARY, json_text(summary))
