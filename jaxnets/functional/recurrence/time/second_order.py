"""Derivatives of second order for scans with a backward pass written by hand."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import BoundCell
from jaxnets.functional.recurrence.time.in_place.backward import NO_MASKS
from jaxnets.functional.recurrence.time.in_place.forward import Inputs
from jaxnets.functional.recurrence.time.options import ScanOptions
from jaxnets.functional.recurrence.time.split import split_scan
from jaxnets.tap import unmeasured


def with_second_order(
    cell: BoundCell,
    options: ScanOptions,
    forward_pass: Callable[[Inputs], tuple[Any, Any]],
    backward_pass: Callable[[Inputs, Any, Any], tuple[Inputs, dict[str, Any]]],
) -> tuple[Any, Any]:
    """Return both passes as functions whose derivatives are those of the split scan.

    Only derivatives of second order need them. JAX's own derivative of a loop that
    writes into arrays would store these arrays once for every step, and a kernel has no
    derivative. (Both passes are whole functions: with JAX 0.11, the derivative of a
    `custom_vjp` identity inside a scan that carries the state is silently wrong.)

    Args:
        cell: The cell.
        options: The scan options, without masks.
        forward_pass: `forward_pass(inputs) -> ((state, ys), residuals)`.
        backward_pass: `backward_pass(inputs, residuals, cotangents) -> (ct_inputs,
            logs)`, with masks of None in `ct_inputs`.

    Returns:
        Both passes. Residuals and logs have no derivative.
    """

    def definition(inputs: Inputs):
        own = cell._replace(weights=inputs.weights)
        masked = options._replace(**inputs.masks._asdict())
        # The taps are those of the passes, not of this second program.
        with unmeasured():
            return split_scan(own, inputs.state, inputs.x, masked, inputs.initial)

    def pulled_back(inputs: Inputs, cotangents: Any) -> Inputs:
        ct_inputs = jax.vjp(definition, inputs)[1](cotangents)[0]
        return ct_inputs._replace(masks=NO_MASKS)

    forward_rule, backward_rule = map(jax.custom_jvp, (forward_pass, backward_pass))

    @forward_rule.defjvp
    def _(primals, tangents):
        (inputs,), (t_inputs,) = primals, tangents
        result, residuals = forward_rule(inputs)
        # `split_scan` does not support forward mode, so its pullback is transposed.
        pull = lambda cotangents: pulled_back(inputs, cotangents)
        floats = t_inputs._replace(masks=NO_MASKS)
        t_result = jax.vjp(pull, _zeros(result))[1](floats)[0]
        return (result, residuals), (t_result, _zeros(residuals))

    @backward_rule.defjvp
    def _(primals, tangents):
        (inputs, _, cotangents), (t_inputs, _, t_cotangents) = primals, tangents
        ct_inputs, logs = backward_rule(*primals)
        t_back = jax.jvp(pulled_back, (inputs, cotangents), (t_inputs, t_cotangents))[1]
        return (ct_inputs, logs), (t_back, _zeros(logs))

    return forward_rule, backward_rule


def _zeros(tree: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, tree)
