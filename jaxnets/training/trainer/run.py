"""`train`: a run that can be left alone, which loses nothing when it is stopped."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx

from jaxnets.arguments import as_count
from jaxnets.training.step import Loss
from jaxnets.training.trainer.advance import Progress
from jaxnets.training.trainer.calls import BatchOf, Calls, step_of
from jaxnets.training.trainer.checkpoints import Checkpoints
from jaxnets.training.trainer.evaluations import Evaluations
from jaxnets.training.trainer.metrics import Metrics
from jaxnets.training.trainer.placement import Placement
from jaxnets.training.trainer.processes import (
    check_alike,
    is_first,
    largest,
    naming_the_ended,
)
from jaxnets.training.trainer.recipe import Recipe


CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"


@dataclasses.dataclass
class Trained:
    """What `train` returns; see its example.

    Attributes:
        model: The network, with the moving average of its weights if there is one.
        step: Number of updates.
        skipped: Number of batches that were skipped.
        metrics: The newest evaluation, by name.
        params_sha256: See `params_sha256`.
        stopped: Whether training ended before its last step because it was asked to.
    """

    model: nnx.Module
    step: int
    skipped: int
    metrics: dict[str, float]
    params_sha256: str
    stopped: bool


def train(
    model: nnx.Module,
    loss: Loss,
    batch: BatchOf,
    recipe: Recipe,
    folder: Path,
    *,
    evaluation: Mapping[str, Any] | None = None,
    optimizer: optax.GradientTransformation | None = None,
    devices: int = 1,
    shards: int = 1,
    skip_nonfinite: int = 0,
    about: Mapping[str, Any] | None = None,
    asked_to_stop: Callable[[], bool] | None = None,
    on_call: Callable[[int, Mapping[str, float]], object] | None = None,
    on_evaluation: Callable[[int, nnx.Module], object] | None = None,
    tensorboard: Path | None = None,
    say: Callable[[str], object] = print,
) -> Trained:
    """Train a network, continuing from the newest intact checkpoint in `folder`.

    The network after a given number of updates is the same to the last bit, however
    often the run was stopped or killed: the batch of an update depends on its number
    only, and everything else that an update changes is in the checkpoint. On another
    number of devices or processes it is the same up to rounding.

    After `jax.distributed.initialize` all processes must call this with the same
    arguments and a folder that all of them see. Each has the whole batch and places its
    part of it on its own devices. If one of them ends, the others raise an error.

    Args:
        model: The network before training.
        loss: `loss(model, batch) -> (scalar, {name: figure})`. Evaluations compute it
            without `label_smoothing` and in the dtype of the weights.
        batch: `batch(step)` returns the batch of an update, a pytree of arrays.
        recipe: The settings of the training.
        folder: Holds `checkpoints/` and `metrics.jsonl`.
        evaluation: Batches by name, evaluated with dropout off.
        optimizer: An Optax transform that replaces the one of the recipe.
        devices: Number of devices that share each batch, equally many of each process.
        shards: Number of these devices that each parameter, and the optimizer's state
            for it, is divided over; 1 keeps a copy on each. It divides `devices`.
        skip_nonfinite: Number of batches with a loss or gradient that is not finite,
            which are skipped before `NonFiniteBatch` is raised.
        about: What defines the run besides the recipe, as data that JSON can hold. It
            is kept with each checkpoint, and a run with another `about` refuses to
            continue from it. The names `step`, `files` and `metrics` are taken.
        asked_to_stop: Called every few seconds; training ends early when it returns
            True.
        on_call: Called with the step and the figures of the last update, by the first
            process only.
        on_evaluation: Called with the step and the network, before training and after
            each evaluation; by the first process only.
        tensorboard: Folder for TensorBoard's files of the metrics; None for none.
        say: Called with messages about checkpoints that are damaged or missing.

    Returns:
        The network and its figures.

    Raises:
        NonFiniteBatch: If more than `skip_nonfinite` batches are not finite.
        TypeError: If `skip_nonfinite` is not an int.
        ValueError: If it is negative, `about` has a name that is taken, the batch
            cannot be shared by the devices, the loss has no `label_smoothing` and the
            recipe asks for some, a checkpoint is of another run or network, or the
            processes differ in recipe or `about`.
        OSError: If a checkpoint cannot be written.
        ImportError: If nothing can write TensorBoard's files.
        ConnectionError: If another process of the run has ended.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import Recipe, regression, train
        >>> data = Labelled(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> recipe = Recipe(steps=20, batch_size=4, learning_rate=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trained = train(
        ...         model, regression, lambda step: data, recipe, Path(folder)
        ...     )
        >>> trained.step, trained.stopped
        (20, False)
    """
    if taken := {"step", "files", "metrics"} & set(about or {}):
        raise ValueError(
            f"`about` has the name {min(taken)!r}, which a checkpoint uses itself; "
            "wanted another name."
        )
    as_count(skip_nonfinite, "skip_nonfinite", minimum=0)
    placement = Placement(devices, shards, recipe.batch_size)
    calls = Calls(model, loss, batch, recipe, optimizer, placement, skip_nonfinite)
    validate = Evaluations(calls.graphdef, loss, evaluation or {}, placement)
    nothing = lambda step, found: None
    run = _Run(
        calls,
        validate,
        recipe,
        folder,
        about or {},
        asked_to_stop or (lambda: False),
        (is_first() and on_call) or nothing,
        (is_first() and on_evaluation) or nothing,
        tensorboard,
        say,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with naming_the_ended(folder), Checkpoints(folder / CHECKPOINTS, say=say) as saved:
        check_alike(json.dumps([dataclasses.asdict(recipe), run.about], default=str))
        progress, metrics, stopped = run(saved)
        model = calls.model(progress)
    digest = params_sha256(nnx.state(model, nnx.Param))
    step, skipped = step_of(progress), int(progress.skipped)
    return Trained(model, step, skipped, metrics, digest, stopped)


class _Run(NamedTuple):
    """The loop of `train`, whose arguments it has."""

    calls: Calls
    validate: Evaluations
    recipe: Recipe
    folder: Path
    about: Mapping[str, Any]
    asked_to_stop: Callable[[], bool]
    on_call: Callable[[int, Mapping[str, float]], object]
    on_evaluation: Callable[[int, nnx.Module], object]
    tensorboard: Path | None
    say: Callable[[str], object]

    def __call__(
        self, checkpoints: Checkpoints
    ) -> tuple[Progress, dict[str, float], bool]:
        """Return the last progress, its figures, and whether it was asked to stop."""
        calls, recipe = self.calls, self.recipe
        progress, metrics = calls.start(checkpoints, self.about)
        step, stopped = step_of(progress), False
        if step == 0:
            self.on_evaluation(0, calls.model(progress))
        with self._log(step) as append, calls.prefetching(step) as batches:
            while step < recipe.steps and not _out_of_patience(progress, recipe):
                before = step
                progress, rows = calls.advance(progress, batches, step)
                step = step_of(progress)
                checkpoints.complete()
                append(rows)
                self.on_call(step, rows[-1])
                if _passes(before, step, recipe.evaluate_every, recipe.steps):
                    progress, metrics = self.validate(progress, metrics)
                    append([{"step": step, **metrics}] if metrics else [])
                    self.on_evaluation(step, calls.model(progress))
                stopped = largest(int(self.asked_to_stop())) > 0
                stopped = stopped and step < recipe.steps
                if stopped or _passes(
                    before, step, recipe.checkpoint_every, recipe.steps
                ):
                    about = {**self.about, "metrics": metrics}
                    checkpoints.save(step, progress, about)
                if stopped:
                    break
        return progress, metrics, stopped

    @contextlib.contextmanager
    def _log(self, step: int) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
        """Yield what appends rows to the metrics, in the first process only."""
        if not is_first():
            yield lambda rows: None
            return
        path = self.folder / METRICS
        if step == 0 and path.exists():
            self.say(
                f"There is no checkpoint in {self.folder / CHECKPOINTS}, so training "
                "begins again at update 0."
            )
        with contextlib.closing(Metrics(path, step, self.tensorboard)) as metrics:
            yield metrics.append


def params_sha256(params: Any) -> str:
    """Return the SHA-256 of all leaves, in the order of their paths.

    It covers the path, dtype, shape and bytes of each leaf, so equal digests mean equal
    weights to the last bit.

    Args:
        params: A pytree of arrays.

    Returns:
        The digest in hexadecimal digits.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.training import params_sha256
        >>> params_sha256({"w": jnp.zeros(2)})[:8]
        '7dd73c60'
    """
    leaves = jax.tree.leaves_with_path(params)
    by_path = {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }
    digest = hashlib.sha256()
    for path, array in sorted(by_path.items()):
        digest.update(f"{path} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _passes(before: int, step: int, every: int, last: int) -> bool:
    return step // every > before // every or step == last


def _out_of_patience(progress: Progress, recipe: Recipe) -> bool:
    return bool(recipe.patience) and int(progress.waited) >= recipe.patience
