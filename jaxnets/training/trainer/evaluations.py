"""Evaluations of a run, which decide when it has learned all it can."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets.training.step import Loss, make_evaluation
from jaxnets.training.trainer.advance import Progress


class Evaluations:
    """Evaluates the network, and keeps count of evaluations that are no better."""

    def __init__(self, graphdef: nnx.GraphDef, loss: Loss, batches: Mapping[str, Any]):
        self._evaluate = jax.jit(make_evaluation(graphdef, loss))
        self._batches = batches

    def __call__(
        self, progress: Progress, before: dict[str, float]
    ) -> tuple[Progress, dict[str, float]]:
        """Return the progress with the new evaluation counted, and its figures."""
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
