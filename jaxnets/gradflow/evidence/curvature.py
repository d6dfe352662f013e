"""The sharpness of a loss and the noise of its gradient, as records."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.evidence.program import Measured, Network
from jaxnets.gradflow.logs import as_pair
from jaxnets.gradflow.spectra import sharpness
from jaxnets.gradflow.trees import leading_size, split_inexact
from jaxnets.gradflow.updates import gradient_noise_scale
from jaxnets.runs.records import Record


Sharpness = Callable[[Network, tuple[Any, ...]], Float[Array, ""]]


def make_sharpness(loss: Callable[..., Any]) -> Sharpness:
    """Return a function of a network and a batch that computes the sharpness.

    Args:
        loss: `loss(model, *args)` that returns a scalar or `(scalar, aux)`.
    """
    from flax import nnx

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def compiled(graphdef: Any, args_graphdef: Any, state: Any, args_state: Any) -> Any:
        model = nnx.merge(graphdef, state, copy=True)
        split, params, rest = nnx.split(model, nnx.Param, ...)

        def value(params: Any) -> Any:
            args = nnx.merge(args_graphdef, args_state, copy=True)
            result = loss(nnx.merge(split, params, rest, copy=True), *args)
            return as_pair(result)[0] if isinstance(result, tuple) else result

        return sharpness(value, params)

    def of(network: Network, args: tuple[Any, ...]) -> Float[Array, ""]:
        args_graphdef, args_state = nnx.split(args)
        return compiled(network.graphdef, args_graphdef, network.state, args_state)

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
        value = float(of(network, args))
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
    stacked = [jnp.stack(rows) for rows in zip(*leaves, strict=True)]
    scale = float(gradient_noise_scale(stacked, batch_size=size).scale)
    found = {"gradient_noise_scale": scale, "batch_size": float(size)}
    return [
        whole._replace(metric=metric, place="", position=None, value=number)
        for metric, number in found.items()
        if not math.isnan(number)
    ]
