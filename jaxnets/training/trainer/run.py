"""`train`: a run that can be left alone, which loses nothing when it is stopped."""

import concurrent.futures
import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnets.training.nonfinite import NonFinite, first_nonfinite
from jaxnets.training.step import Loss, make_evaluation, make_step, train_state
from jaxnets.training.trainer.advance import (
    Progress,
    in_bfloat16,
    initial_progress,
    make_advance,
)
from jaxnets.training.trainer.checkpoints import Checkpoints
from jaxnets.training.trainer.metrics import append, keep_until
from jaxnets.training.trainer.recipe import Recipe, make_optimizer


CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"
# The most updates in a compiled call, and how long it should take: a signal is
# answered after it.
MOST_UPDATES, CALL_SECONDS = 16, 4.0
# `batch(step)` returns the batch of an update: a pytree of NumPy arrays.
BatchOf = Callable[[int], Any]


class NonFiniteBatch(Exception):
    """A batch gave a loss or a gradient that is not finite.

    Attributes:
        step: Number of updates before it.
        found: The first number that is not finite; None if it is not known.
    """

    def __init__(self, step: int, found: NonFinite | None, skipped: int):
        where = ""
        if found is not None:
            place = f" of {found.place}" if found.place else ""
            where = f" The first number that is not finite: {found.stage}{place}."
        before = f" after {skipped} that were skipped" if skipped else ""
        super().__init__(
            f"The loss or the gradient of step {step} is not finite{before}.{where} "
            "The newest checkpoint is from before. Lower the learning rate, or skip "
            "such batches with `skip_nonfinite`, on the command line --skip-nonfinite."
        )
        self.step = step
        self.found = found


@dataclasses.dataclass
class Trained:
    """What `train` returns.

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
    skip_nonfinite: int = 0,
    about: Mapping[str, Any] | None = None,
    asked_to_stop: Callable[[], bool] | None = None,
    on_call: Callable[[int, Mapping[str, float]], object] | None = None,
    on_evaluation: Callable[[int, nnx.Module], object] | None = None,
    say: Callable[[str], object] = print,
) -> Trained:
    """Train a network, and go on from the newest intact checkpoint in `folder`.

    The network after a given number of updates is the same to the last bit, however
    often the run was stopped or killed: the batch of an update depends on its number
    only, and everything else that an update changes is in the checkpoint.

    Args:
        model: The network before training.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.
        batch: `batch(step)` returns the batch of an update, a pytree of arrays.
        recipe: How it is trained.
        folder: Holds `checkpoints/` and `metrics.jsonl`.
        evaluation: Batches by name, evaluated with dropout off.
        optimizer: An Optax transform in place of that of the recipe.
        devices: Number of devices that share each batch.
        skip_nonfinite: Number of batches that may be not finite and are skipped.
        about: What decides the run besides the recipe, in the form of JSON. It is kept
            with each checkpoint, and another run refuses to go on from it.
        asked_to_stop: Asked after every call of at most some seconds.
        on_call: Gets the step and the figures of the last update.
        on_evaluation: Gets the step and the network, before training and after each
            evaluation.
        say: Tells the user about damaged checkpoints.

    Returns:
        The network and its figures.

    Raises:
        NonFiniteBatch: If more than `skip_nonfinite` batches are not finite.
        ValueError: If the batch cannot be shared by the devices, or a checkpoint is of
            another run or network.
        OSError: If a checkpoint cannot be written.

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
    asked_to_stop = asked_to_stop or (lambda: False)
    on_call = on_call or (lambda step, figures: None)
    on_evaluation = on_evaluation or (lambda step, model: None)
    run = _Run(model, loss, batch, recipe, folder, optimizer, devices, skip_nonfinite)
    folder.mkdir(parents=True, exist_ok=True)
    validate = _Evaluations(run.graphdef, loss, evaluation or {})
    with Checkpoints(folder / CHECKPOINTS, say=say) as checkpoints:
        progress, metrics = run.start(checkpoints, about or {})
        step = _step(progress)
        keep_until(folder / METRICS, step)
        if step == 0:
            on_evaluation(0, run.model(progress))
        stopped = False
        with run.prefetching(step) as batches:
            while step < recipe.steps and not _out_of_patience(progress, recipe):
                before = step
                progress, rows = run.advance(progress, batches, step)
                step = _step(progress)
                append(folder / METRICS, rows)
                on_call(step, rows[-1])
                if _passes(before, step, recipe.evaluate_every, recipe.steps):
                    progress, metrics = validate(run, progress, metrics)
                    if metrics:
                        append(folder / METRICS, [{"step": step, **metrics}])
                    on_evaluation(step, run.model(progress))
                stopped = asked_to_stop() and step < recipe.steps
                if stopped or _passes(
                    before, step, recipe.checkpoint_every, recipe.steps
                ):
                    checkpoints.save(
                        step, progress, {**(about or {}), "metrics": metrics}
                    )
                if stopped:
                    break
    model = run.model(progress)
    digest = params_sha256(nnx.state(model, nnx.Param))
    skipped = int(progress.skipped)
    return Trained(model, step, skipped, metrics, digest, stopped)


def params_sha256(params: Any) -> str:
    """Return the SHA-256 of the leaves in the order of their paths.

    Of each leaf it takes path, dtype, shape and bytes, so equal digests mean equal
    weights to the last bit.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.training import params_sha256
        >>> params_sha256({"w": jnp.zeros(2)})[:8]
        '...'
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


class _Run:
    """The compiled call, where its arrays lie, and the batches it takes."""

    def __init__(
        self, model, loss, batch, recipe, folder, optimizer, devices, skip_nonfinite
    ):
        optimizer = optimizer or make_optimizer(recipe)
        if recipe.dtype == "bfloat16":
            loss = in_bfloat16(loss)
        self._loss = loss
        self._optimizer = optimizer
        self._batch = batch
        self._recipe = recipe
        self._mesh = _mesh(devices, recipe.batch_size)
        self.graphdef, state = train_state(model, optimizer)
        progress = initial_progress(state, averaging=bool(recipe.average))
        self._initial = self._put(progress, PartitionSpec())
        self._advance = make_advance(
            self.graphdef,
            loss,
            optimizer,
            average=recipe.average,
            skip=skip_nonfinite,
        )
        # Of one update; not known until after the first call, which compiles.
        self._seconds: float | None = None
        self._compiled = False

    def start(
        self, checkpoints: Checkpoints, about: Mapping[str, Any]
    ) -> tuple[Progress, dict[str, float]]:
        """Return the newest progress, after checking that it is of this run."""
        found = checkpoints.restore(self._initial)
        if found is None:
            return self._initial, {}
        metrics = found.about.pop("metrics", {})
        differences = [
            f"`{name}` is {about.get(name)!r} and was {found.about.get(name)!r}"
            for name in {**found.about, **about}
            if about.get(name) != found.about.get(name)
        ]
        if differences:
            raise ValueError(
                f"The checkpoint of step {found.step} is of another run: "
                f"{', '.join(differences)}. Undo the change, or begin a new run."
            )
        return found.state, metrics

    def model(self, progress: Progress) -> nnx.Module:
        params = progress.average
        if params is None:
            params = progress.train.params
        # The arrays of `progress` are donated to the next call.
        copied = jax.tree.map(jnp.array, (params, progress.train.rest))
        return nnx.merge(self.graphdef, *copied)

    def _put(self, tree: Any, spec: PartitionSpec) -> Any:
        return jax.device_put(tree, NamedSharding(self._mesh, spec))

    def _count(self, step: int) -> int:
        """Return how many updates the next call makes: not past the next stop."""
        recipe = self._recipe
        ends = [recipe.steps - step]
        ends += [n - step % n for n in (recipe.evaluate_every, recipe.checkpoint_every)]
        affordable = int(CALL_SECONDS / self._seconds) if self._seconds else 1
        return max(1, min(MOST_UPDATES, affordable, *ends))

    def prefetching(self, step: int) -> "_Prefetch":
        return _Prefetch(self._batch, step, self._recipe.steps)

    def advance(self, progress: Progress, batches: "_Prefetch", step: int):
        count = self._count(step)
        taken = batches.take(count)
        # One shape for all calls, so one program.
        padded = [*taken, *[taken[-1]] * (MOST_UPDATES - count)]
        stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *padded)
        placed = self._put(stacked, PartitionSpec(None, "data"))
        began = time.perf_counter()
        after, done, figures = self._advance(progress, placed, np.int32(count))
        done = int(done)
        found = {name: np.asarray(array)[:done] for name, array in figures.items()}
        if self._compiled:
            self._seconds = (time.perf_counter() - began) / done
        self._compiled = True
        numbers = range(step + 1, step + done + 1)
        rows = [
            {"step": number, **{name: float(found[name][i]) for name in found}}
            for i, number in enumerate(numbers)
        ]
        if _step(after) != step + done:
            self._fail(after, taken[done - 1])
        return after, rows

    def _fail(self, progress: Progress, batch: Any) -> None:
        """Raise an error that names what is not finite first in the batch."""
        step = make_step(self.graphdef, self._loss, self._optimizer)
        alone = jax.tree.map(lambda array: array[None], batch)
        found = first_nonfinite(self.graphdef, self._loss, step, progress.train, alone)
        raise NonFiniteBatch(_step(progress), found, int(progress.skipped) - 1)


class _Prefetch:
    """Makes the batches of the next call while the device computes the present one."""

    def __init__(self, batch: BatchOf, step: int, steps: int):
        self._batch = batch
        self._step = step
        self._steps = steps
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._futures: list[concurrent.futures.Future] = []

    def __enter__(self) -> "_Prefetch":
        return self

    def __exit__(self, *exception) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, count: int) -> list[Any]:
        self._ask(count)
        taken, self._futures = self._futures[:count], self._futures[count:]
        batches = [future.result() for future in taken]
        self._ask(MOST_UPDATES)
        return batches

    def _ask(self, count: int) -> None:
        while len(self._futures) < count and self._step < self._steps:
            self._futures.append(self._pool.submit(self._batch, self._step))
            self._step += 1


class _Evaluations:
    """Evaluates the network, and keeps count of evaluations that are no better."""

    def __init__(self, graphdef: nnx.GraphDef, loss: Loss, batches: Mapping[str, Any]):
        self._evaluate = jax.jit(make_evaluation(graphdef, loss))
        self._batches = batches

    def __call__(self, run: _Run, progress: Progress, before: dict[str, float]):
        if not self._batches:
            return progress, before
        state = progress.train
        if progress.average is not None:
            state = state._replace(params=progress.average)
        metrics = {
            f"{name}_{figure}": float(value)
            for name, batch in self._batches.items()
            for figure, value in self._evaluate(state, batch).items()
        }
        first = next(iter(self._batches))
        found = jnp.float32(metrics[f"{first}_loss"])
        better = found < progress.best
        waited = jnp.where(better, 0, progress.waited + 1).astype(jnp.int32)
        best = jnp.minimum(progress.best, found)
        return progress._replace(best=best, waited=waited), metrics


def _mesh(devices: int, batch_size: int) -> Mesh:
    found = jax.devices()
    if devices > len(found):
        raise ValueError(
            f"`devices` is {devices}, and JAX has {len(found)}. Ask for fewer. JAX's "
            "setting jax_num_cpu_devices makes more of a CPU."
        )
    if batch_size % devices:
        raise ValueError(
            f"`batch_size` is {batch_size}, which {devices} devices cannot share; "
            f"wanted a multiple of {devices}."
        )
    return Mesh(np.array(found[:devices]), ("data",))


def _step(progress: Progress) -> int:
    return int(progress.train.step)


def _passes(before: int, step: int, every: int, last: int) -> bool:
    return step // every > before // every or step == last


def _out_of_patience(progress: Progress, recipe: Recipe) -> bool:
    return bool(recipe.patience) and int(progress.waited) >= recipe.patience
