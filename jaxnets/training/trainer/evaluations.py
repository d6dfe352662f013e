"""Evaluations of a run, which decide when it has learned all it can."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxnets.training.step import Loss, make_evaluation
from jaxnets.training.trainer.advance import Progress
from jaxnets.training.trainer.placement import Placement


class Evaluations:
    """Evaluates the network, and keeps count of evaluations that are no better."""

    def __init__(
        self,
        graphdef: nnx.GraphDef,
        loss: Loss,
        batches: Mapping[str, Any],
        placement: Placement,
    ):
        evaluate = make_evaluation(graphdef, loss)
        self._evaluate = jax.jit(evaluate, out_shardings=placement.whole)
        self._batches = batches
        self._placement = placement

    def __call__(
        self, progress: Progress, before: dict[str, float]
    ) -> tuple[Progress, dict[str, float]]:
        """Return the progress with the new evaluation counted, and its figures."""
        if not self._batches:
            return progress, before
        state = progress.train._replace(params=progress.weights)
        metrics = {
            f"{name}_{figure}": float(value)
            for name, batch in self._batches.items()
            for figure, value in self._evaluate(state, batch).items()
        }
        first = next(iter(self._batches))
        found, best = metrics[f"{first}_loss"], float(progress.best)
        waited = 0 if found < best else int(progress.waited) + 1
        counted = {"best": np.float32(min(best, found)), "waited": np.int32(waited)}
        return progress._replace(**self._placement.state(counted)), metrics
