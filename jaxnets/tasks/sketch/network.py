"""The network of the task: a mixture density LSTM over the points of a pen."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn
from jaxnets.tasks.sketch.drawings import PointBatch


HIDDEN, COMPONENTS = 256, 20


class Network(nnx.Module):
    """An LSTM whose output after each point is a mixture density for the next point.

    Args:
        rngs: Source of randomness.
        scale: Pixels that are 1 in the mixtures and the inputs.
        hidden: Units of the LSTM.
        components: Normal distributions of a mixture.
    """

    def __init__(
        self,
        rngs: nnx.Rngs,
        scale: float,
        hidden: int = HIDDEN,
        components: int = COMPONENTS,
    ):
        self.scale = scale
        self.recurrent = nn.LSTM(3, hidden, rngs=rngs)
        self.output = nnx.Linear(hidden, 6 * components + 1, rngs=rngs)

    def __call__(self, points: Any, lengths: Any = None, state: Any = None):
        """Return the state and the mixtures `(B, T, 6 M + 1)` after points in pixels.

        Args:
            points: `(B, T, 3)`.
            lengths: Number of points of each drawing; None means all.
            state: That of the points before; None is the beginning of a drawing.
        """
        x = jnp.asarray(points) / self.unit
        state, ys = self.recurrent(x, state, lengths=lengths)
        return state, self.output(ys)

    def generate(
        self, given: Any, lengths: Any, count: int, *, key: Any, temperature: Any
    ) -> jax.Array:
        """Return the `count` points that follow drawings that were begun.

        Args:
            given: Their points `(B, T, 3)`, in pixels like those that are returned.
            lengths: Number of points of each, at least 1, `(B,)`.
            count: Number of points to generate.
            key: A JAX random key.
            temperature: As in `jaxnets.functional.sample_mixture`.
        """
        given, unit = jnp.asarray(given, jnp.float32), self.unit
        state, _ = self(given[:, :-1], lengths - 1)
        first = jnp.take_along_axis(given, (lengths - 1)[:, None, None], axis=1)[:, 0]

        def step(state, x):
            state, outputs = self((x * unit)[:, None], state=state)
            return state, outputs[:, 0]

        sample = functools.partial(F.sample_mixture, temperature=temperature)
        _, points = F.generate(
            step, state, first / unit, steps=count, key=key, sample=sample
        )
        return points * unit

    @property
    def unit(self) -> jax.Array:
        """What a point in pixels is divided by, `(3,)`."""
        return jnp.array([self.scale, self.scale, 1.0])


def loss(model: Network, batch: PointBatch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return minus the mean log-density of the points that follow the first.

    The loss is in nats a point for a density over pixels; `scaled_loss` is that of
    the density over offsets that are divided by the scale.
    """
    _, outputs = model(batch.points[:, :-1], batch.lengths - 1)
    points = batch.points[:, 1:] / model.unit
    losses = F.mixture_density_loss(outputs, points)
    counted = jnp.arange(losses.shape[1]) < batch.lengths[:, None] - 1
    scaled = jnp.sum(losses, where=counted) / jnp.sum(counted)
    return scaled + 2 * math.log(model.scale), {"scaled_loss": scaled}
