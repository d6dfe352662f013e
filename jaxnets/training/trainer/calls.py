"""The compiled calls of a run: where its arrays lie, and the batches it takes."""

import concurrent.futures
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from jaxnets.runs.configuration import differences
from jaxnets.training.nonfinite import NonFinite, first_nonfinite
from jaxnets.training.step import Loss, make_step, train_state
from jaxnets.training.trainer.advance import (
    Progress,
    initial_progress,
    make_advance,
)
from jaxnets.training.trainer.checkpoints import Checkpoints
from jaxnets.training.trainer.placement import Placement
from jaxnets.training.trainer.processes import largest
from jaxnets.training.trainer.recipe import Recipe, make_optimizer, training_loss


# The most updates in a compiled call, and how long it should take: a signal is
# answered after it.
MOST_UPDATES, CALL_SECONDS = 16, 4.0
# `batch(step)` returns the batch of an update: a pytree of NumPy arrays.
BatchOf = Callable[[int], Any]


class NonFiniteBatch(Exception):
    """A batch gave a loss or a gradient that is not finite.

    Args:
        step: Number of updates before it.
        found: The first number that is not finite; None if it is not known.
        skipped: Number of batches that were skipped before.

    Example:
        >>> from jaxnets.training import NonFiniteBatch
        >>> str(NonFiniteBatch(12, None, 0)).partition(".")[0]
        'The loss or the gradient of step 12 is not finite'
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


class Calls:
    """The compiled call, where its arrays lie, and the batches it takes."""

    def __init__(
        self,
        model: nnx.Module,
        loss: Loss,
        batch: BatchOf,
        recipe: Recipe,
        optimizer: optax.GradientTransformation | None,
        placement: Placement,
        skip_nonfinite: int,
    ):
        optimizer = optimizer or make_optimizer(recipe)
        self._loss = loss = training_loss(loss, recipe)
        self._optimizer = optimizer
        self._batch = batch
        self._recipe = recipe
        self._placement = placement
        self.graphdef, state = train_state(model, optimizer)
        progress = initial_progress(state, averaging=bool(recipe.average))
        self._initial = placement.state(progress)
        where = jax.tree.map(lambda array: array.sharding, self._initial)
        self._advance = make_advance(
            self.graphdef,
            loss,
            optimizer,
            average=recipe.average,
            skip=skip_nonfinite,
            out_shardings=(where, placement.whole, placement.whole),
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
        if changed := differences(about, found.about):
            raise ValueError(
                f"The checkpoint of step {found.step} is of another run: {changed}. "
                "Undo the change, or begin a new run."
            )
        return found.state, metrics

    def model(self, progress: Progress) -> nnx.Module:
        """Return the network, with the average of its weights if there is one."""
        # A copy, because the arrays of `progress` are donated to the next call.
        copied = self._placement.local((progress.weights, progress.train.rest))
        return nnx.merge(self.graphdef, *copied)

    def _count(self, step: int) -> int:
        """Return how many updates the next call makes: not past the next stop."""
        recipe = self._recipe
        ends = [recipe.steps - step]
        ends += [n - step % n for n in (recipe.evaluate_every, recipe.checkpoint_every)]
        affordable = int(CALL_SECONDS / self._seconds) if self._seconds else 1
        return max(1, min(MOST_UPDATES, affordable, *ends))

    def prefetching(self, step: int) -> "Prefetch":
        """Return the batches from `step` on, which a thread makes ahead."""
        return Prefetch(self._batch, step, self._recipe.steps)

    def advance(
        self, progress: Progress, batches: "Prefetch", step: int
    ) -> tuple[Progress, list[dict[str, Any]]]:
        """Make some updates; return the progress, and the figures of each update."""
        count = self._count(step)
        taken = batches.take(count)
        # One shape for all calls, so one program.
        padded = [*taken, *[taken[-1]] * (MOST_UPDATES - count)]
        stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *padded)
        placed = self._placement.batches(stacked)
        began = time.perf_counter()
        after, done, figures = self._advance(progress, placed, np.int32(count))
        done = int(done)
        found = {name: np.asarray(array)[:done] for name, array in figures.items()}
        if self._compiled:
            # All processes must choose the same number of updates.
            self._seconds = largest((time.perf_counter() - began) / done)
        self._compiled = True
        numbers = range(step + 1, step + done + 1)
        rows = [
            {"step": number, **{name: float(found[name][i]) for name in found}}
            for i, number in enumerate(numbers)
        ]
        if step_of(after) != step + done:
            self._fail(after, taken[done - 1])
        return after, rows

    def _fail(self, progress: Progress, batch: Any) -> None:
        """Raise an error that names what is not finite first in the batch."""
        step = make_step(self.graphdef, self._loss, self._optimizer)
        alone = jax.tree.map(lambda array: array[None], batch)
        state = self._placement.local(progress.train)
        found = first_nonfinite(self.graphdef, self._loss, step, state, alone)
        raise NonFiniteBatch(step_of(progress), found, int(progress.skipped) - 1)


class Prefetch:
    """Makes the batches of the next call while the device computes the present one."""

    def __init__(self, batch: BatchOf, step: int, steps: int):
        self._batch = batch
        self._step = step
        self._steps = steps
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._futures: list[concurrent.futures.Future] = []

    def __enter__(self) -> "Prefetch":
        return self

    def __exit__(self, *exception) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, count: int) -> list[Any]:
        """Return the next `count` batches, and begin to make more."""
        self._ask(count)
        taken, self._futures = self._futures[:count], self._futures[count:]
        batches = [future.result() for future in taken]
        self._ask(MOST_UPDATES)
        return batches

    def _ask(self, count: int) -> None:
        while len(self._futures) < count and self._step < self._steps:
            self._futures.append(self._pool.submit(self._batch, self._step))
            self._step += 1


def step_of(progress: Progress) -> int:
    """Return the number of updates so far."""
    return int(progress.train.step)
