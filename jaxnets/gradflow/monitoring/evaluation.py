"""The value and gradient of a loss, with the numbers that a monitor wants of them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.gradflow.modules import measure_module
from jaxnets.gradflow.monitoring.numbers import Packed, numbers_of, pack
from jaxnets.gradflow.schedules import Schedule


def evaluate_measured(
    loss: Callable[..., Any],
    model: Any,
    args: tuple[Any, ...],
    only: str | Sequence[str] | None,
    *,
    has_aux: bool,
    wrt: Any,
) -> tuple[Any, Packed]:
    """Return what `nnx.value_and_grad` returns, and the numbers.

    Args:
        loss: `loss(model, *args)`.
        model: An `nnx.Module`, which is changed as the loss changes it.
        args: Further arguments of the loss.
        only: Which taps to measure.
        has_aux: Whether the loss returns a pair.
        wrt: Which variables to differentiate with respect to.
    """
    from flax import nnx

    # The loss may change the parameters themselves.
    params = nnx.state(model, wrt)
    flow = measure_module(loss, model, *args, has_aux=has_aux, wrt=wrt, only=only)
    value = (flow.value, flow.aux) if has_aux else flow.value
    return (value, flow.grads), pack(numbers_of(flow, params, args))


def evaluate_twice(
    schedule: Schedule,
    number: Any,
    loss: Callable[..., Any],
    model: Any,
    args: tuple[Any, ...],
    only: str | Sequence[str] | None,
    *,
    has_aux: bool,
    wrt: Any,
) -> tuple[Any, Packed]:
    """Evaluate as without a monitor, and once more, measured, in some steps.

    Args:
        schedule: The steps. A step that is not finite is measured too.
        number: The number of this step.
        loss: As for `evaluate_measured`, and so are the other arguments.
        model: The module.
        args: Further arguments of the loss.
        only: Which taps to measure.
        has_aux: Whether the loss returns a pair.
        wrt: Which variables to differentiate with respect to.
    """
    from flax import nnx

    graphdef, before = nnx.split((model, args))
    # A copy, because the first evaluation changes variables such as random keys.
    before = jax.tree.map(lambda leaf: leaf, before)
    differentiate = nnx.value_and_grad(
        loss, argnums=nnx.DiffState(0, wrt), has_aux=has_aux
    )
    found = differentiate(model, *args)
    value = found[0][0] if has_aux else found[0]
    finite = [jnp.isfinite(x).all() for x in jax.tree.leaves((value, found[1]))]
    due = schedule(number) | ~jnp.stack(finite).all()

    def numbers() -> Packed:
        model, args = nnx.merge(graphdef, before, copy=True)
        return evaluate_measured(loss, model, args, only, has_aux=has_aux, wrt=wrt)[1]

    blank = jax.eval_shape(numbers)
    array = jax.lax.cond(
        due, lambda: numbers().array, lambda: jnp.zeros_like(blank.array)
    )
    return found, dataclasses.replace(blank, array=array, measured=due)
