"""The sharpness of a loss and the noise of its gradient, as records."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow.evidence.program import Measured, Network, as_model
from jaxnets.gradflow.logs import as_pair
from jaxnets.gradflow.spectra import power_step
from jaxnets.gradflow.trees import leading_size, split_inexact
from jaxnets.gradflow.updates import gradient_noise_scale
from jaxnets.runs.records import Record


Sharpness = Callable[[Network, tuple[Any, ...]], float]
# The iterations end when the eigenvalue changes by less than this share.
ITERATIONS, TOLERANCE = 16, 0.01


def make_sharpness(loss: Callable[..., Any]) -> Sharpness:
    """Return a function of a network and a batch that computes the sharpness.

    It is that of `jaxnets.gradflow.sharpness`, with each iteration a call from Python:
    XLA for CPUs runs convolutions in a loop about ten times as slowly as outside. The
    result is at most the sharpness, and is close to it when it changes little.

    Args:
        loss: `loss(model, *args)` that returns a scalar or `(scalar, aux)`.
    """
    from flax import nnx

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def iterate(
        graphdef: Any,
        args_graphdef: Any,
        state: Any,
        args_state: Any,
        vector: Any,
        shift: Any,
    ) -> Any:
        model = nnx.merge(graphdef, state, copy=True)
        split, params, rest = nnx.split(model, nnx.Param, ...)
        leaves, rebuild = split_inexact(params)

        def value(leaves: list[Any]) -> Any:
            args = nnx.merge(args_graphdef, args_state, copy=True)
            moved = nnx.merge(split, rebuild(leaves), rest, copy=True)
            result = loss(moved, *args)
            return as_pair(result)[0] if isinstance(result, tuple) else result

        return power_step(value, leaves, vector, shift)

    def of(network: Network, args: tuple[Any, ...]) -> float:
        args_graphdef, args_state = nnx.split(args)
        arrays = network.graphdef, args_graphdef, network.state, args_state
        params = nnx.state(as_model(network), nnx.Param)
        random = np.random.default_rng(0)
        start = [
            random.standard_normal(leaf.shape).astype(leaf.dtype)
            for leaf in split_inexact(params)[0]
        ]

        def largest(shift: float) -> float:
            vector, value = start, math.inf
            for _ in range(ITERATIONS):
                last = value
                vector, found = iterate(*arrays, vector, shift)
                value = float(found)
                if not abs(value - last) > TOLERANCE * abs(value):
                    break
            return value

        first = largest(0.0)
        # The eigenvalue of the largest size is negative.
        return largest(first) if first < 0 else first

    return of


def sharpness_records(
    of: Sharpness,
    network: Network,
    args: tuple[Any, ...],
    measured: Measured,
    whole: Record,
) -> list[Record]:
    """Return the sharpness and the learning rate of plain gradient descent.

    There are none if the update is not a multiple of the gradient, as that of Adam, or
    if the loss cannot be differentiated forwards, as a derivative by hand may not.

    Args:
        of: What computes the sharpness.
        network: The network before the update that was measured.
        args: The batch.
        measured: What the step found.
        whole: A record whose arm, seed and step the new ones get.
    """
    rate = math.nan if measured.rate is None else float(measured.rate)
    if not math.isfinite(rate):
        return []
    try:
        value = of(network, args)
    except (NotImplementedError, TypeError):
        return []
    if not math.isfinite(value):
        return []
    found = {"sharpness": value, "learning_rate": rate}
    return [
        whole._replace(metric=metric, place="", position=None, value=number)
        for metric, number in found.items()
    ]


def noise_records(
    before: Sequence[Measured], args: tuple[Any, ...], whole: Record
) -> list[Record]:
    """Return the noise scale of the gradient, from several batches.

    Args:
        before: What the step found on each batch.
        args: One of the batches.
        whole: A record whose arm, seed and step the new ones get.
    """
    size = leading_size(args)
    if len(before) < 2 or size is None:
        return []
    leaves = [split_inexact(measured.flow.grads)[0] for measured in before]
    scale = float(_noise_scale(leaves, size))
    found = {"gradient_noise_scale": scale, "batch_size": float(size)}
    return [
        whole._replace(metric=metric, place="", position=None, value=number)
        for metric, number in found.items()
        if not math.isnan(number)
    ]


@functools.partial(jax.jit, static_argnums=1)
def _noise_scale(gradients: list[list[Any]], batch_size: int) -> jax.Array:
    stacked = [jnp.stack(rows) for rows in zip(*gradients, strict=True)]
    return gradient_noise_scale(stacked, batch_size=batch_size).scale
