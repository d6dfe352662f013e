"""A scan over a cell with a backward pass in two stages.

JAX's derivative of a scan computes products for all gradients in every step: for
`dL/dh_{t-1}`, which the step before needs, but also for `dw_xh`, `dw_hh` and `dL/dx_t`,
which no step needs. Here the backward loop computes only the cotangents of the
pre-activations, `da_t`, and after it

    dw_xh = sum over t of x_t^T da_t,   dw_hh = sum over t of h_{t-1}^T da_t,
    dL/dx_t = da_t w_xh^T

are one product each, over all steps at once. The CUDA kernels of haste do the same.

JAX differentiates the update of each step, so every cell option and every tap is
supported. An array that several derivatives need is stored once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.activations import from_result
from jaxnets.functional.recurrence.cell import (
    BoundCell,
    Weights,
    blocks,
    plain_hooks,
)
from jaxnets.functional.recurrence.products import (
    input_projection,
    preactivations,
    product,
    weight_gradients,
)
from jaxnets.functional.recurrence.time.cotangents import forward_mode_message
from jaxnets.functional.recurrence.time.options import Masks, ScanOptions
from jaxnets.functional.recurrence.time.residuals import FlatPullback, flatten_pullback
from jaxnets.functional.recurrence.time.segments import in_segments
from jaxnets.functional.recurrence.time.steps import (
    end_of_step,
    one_step,
    start_of_step,
)
from jaxnets.tap import is_measuring, reverse_only


# `update(learned, parts, state, draws_t) -> (state, y_t)`.
_Update = Callable[[Any, tuple[jax.Array, ...], Any, Any], tuple[Any, Any]]


class _Inputs(NamedTuple):
    """The arguments of the scan over a part of the steps, time first.

    Attributes:
        weights: The weights of the pre-activations.
        learned: The other parameters, and the arrays that the update closes over.
        initial: The state after a reset.
        state: The state before the first of these steps.
        x: The inputs.
        masks: The masks.
        draws: The random draws.
    """

    weights: Weights
    learned: Any
    initial: Any
    state: Any
    x: jax.Array
    masks: Masks | None
    draws: Any


class _Residuals(NamedTuple):
    """The residuals of the forward pass.

    Attributes:
        inputs: The arguments.
        ys: The outputs.
        h: The arrays that `w_hh` multiplied.
        updates: The pullbacks of the updates, without `ys` and `h`.
        products: The pullbacks of `h`, without these and the arrays of `updates`.
    """

    inputs: _Inputs
    ys: jax.Array
    h: jax.Array
    updates: FlatPullback
    products: FlatPullback


def split_scan(
    cell: BoundCell, state: Any, x: Any, options: ScanOptions, initial: Any = None
) -> tuple[Any, Any]:
    """Run `cell` from `state` over `x`, which has time at `options.time_axis`.

    `initial` is the state after a reset; None is `state`.
    """
    initial = state if initial is None else initial

    def scan(state, x, masks, draws):
        return _differentiable_scan(cell, options, initial, state, x, masks, draws)

    return in_segments(scan, state, x, cell.draws, options)


def _differentiable_scan(
    cell: BoundCell, options: ScanOptions, initial, state, x, masks, draws
):
    """Run over a part of the steps, with the backward pass of this file.

    `initial` is the state after a reset, and `state` the one before these steps.
    """
    learned, update = _closure_as_argument(cell, initial, x, draws)
    weights, measured = cell.weights, is_measuring()
    cell, options = cell.without_arrays(), options.without_arrays()

    @jax.custom_vjp
    def run(inputs: _Inputs):
        state, (ys, _) = _forward(cell, update, options, inputs, store=False)
        return state, ys

    def forward(inputs: _Inputs):
        state, (ys, stored) = _forward(cell, update, options, inputs, store=True)
        return (state, ys), _Residuals(inputs, ys, *stored)

    def backward(residuals, cotangents) -> Any:
        gradients, logs = _backward(cell, options, residuals, cotangents, measured)
        return ((gradients,), logs) if measured else (gradients,)

    (run.defvjp_with_logs if measured else run.defvjp)(forward, backward)
    message = forward_mode_message(
        clip_cotangent=cell.options.clip_cotangent, implementation="split"
    )
    inputs = _Inputs(weights, learned, initial, state, x, masks, draws)
    return run(reverse_only(inputs, message))


def _closure_as_argument(cell: BoundCell, initial, x, draws) -> tuple[Any, _Update]:
    """Return the update with the arrays that it closes over as its first argument.

    The user's activation may close over a parameter, which must receive its gradient.
    """
    hooks = plain_hooks(cell.options, from_result)

    def parts_of(initial, x_t):
        h = cell.recurrent_input(cell.other_params, initial)
        from_x = input_projection(cell.weights, x_t)
        return preactivations(cell, from_x, h, cell.weights)

    def plain_update(other_params, parts, state, draws_t):
        return cell.update(other_params, blocks(cell, parts), state, draws_t, hooks)

    types = lambda tree: jax.eval_shape(lambda tree: tree, tree)
    x_t, draws_t = one_step((x, draws))
    converted, closed_over = jax.closure_convert(
        plain_update,
        types(cell.other_params),
        jax.eval_shape(parts_of, initial, x_t),
        types(initial),
        draws_t,
    )
    update = lambda learned, *rest: converted(learned[0], *rest, *learned[1])
    return (cell.other_params, closed_over), update


def _forward(
    cell: BoundCell,
    update: _Update,
    options: ScanOptions,
    inputs: _Inputs,
    *,
    store: bool,
) -> Any:
    """Run the forward pass; with `store`, also return the residuals of each step."""
    weights, learned, initial, state, x, masks, draws = inputs
    recurrent_input = lambda learned, state: cell.recurrent_input(learned[0], state)

    def step(state, inputs):
        x_t, masks_t, draws_t = inputs
        start = start_of_step(masks_t, initial, state)
        h, pull_back_h = jax.vjp(recurrent_input, learned, start)
        from_x = x_t if options.project_first else input_projection(weights, x_t)
        parts = preactivations(cell, from_x, h, weights)
        updated = lambda learned, parts, start: update(learned, parts, start, draws_t)
        if store:
            (after, y_t), pullback = jax.vjp(updated, learned, parts, start)
            of_update = flatten_pullback(pullback, (learned, y_t, h))
            known = learned, y_t, h, of_update.arrays
            stored = h, of_update, flatten_pullback(pull_back_h, known)
        else:
            (after, y_t), stored = updated(learned, parts, start), None
        state, y_t = end_of_step(masks_t, state, after, y_t)
        return state, (y_t, stored)

    xs = input_projection(weights, x) if options.project_first else x
    return jax.lax.scan(
        step, state, (xs, masks, draws), reverse=options.reverse, unroll=options.unroll
    )


def _backward(
    cell: BoundCell,
    options: ScanOptions,
    residuals: _Residuals,
    cotangents: Any,
    measured: bool,
) -> tuple[_Inputs, dict[str, Any]]:
    """Return the cotangents of all `_Inputs`, and the logs of the taps."""
    weights, learned, initial, _, x, _, _ = inputs = residuals.inputs
    ct_state, ct_ys = cotangents
    w_hh = jnp.swapaxes(weights.w_hh, 0, 1)
    pullbacks = residuals.updates, residuals.products

    def step(carry, stored):
        ct_state, ct_initial, ct_learned = carry
        of_update, of_h, y_t, h, masks_t, ct_y = stored
        ct_before, ct_after, ct_y = pull_back_end(masks_t, ct_state, ct_y)
        (ct_update, ct_parts, ct_start), logs = of_update.pull(
            (learned, y_t, h), (ct_after, ct_y), measured=measured
        )
        ct_h = _recurrent_input_cotangent(ct_parts, cell, w_hh).astype(h.dtype)
        known = learned, y_t, h, of_update.arrays
        through_h, _ = of_h.pull(known, ct_h, measured=False)
        ct_update, ct_start = _sum((ct_update, ct_start), through_h)
        ct_reset, ct_state = pull_back_start(masks_t, ct_start)
        if masks_t.resets is not None:
            ct_initial = _sum(ct_initial, ct_reset)
        carry = _sum(ct_state, ct_before), ct_initial, _sum(ct_learned, ct_update)
        return carry, (ct_parts, logs)

    zeros = jax.tree.map(jnp.zeros_like, (initial, learned))
    (ct_state, ct_initial, ct_learned), (ct_parts, logs) = jax.lax.scan(
        step,
        (ct_state, *zeros),
        (*pullbacks, residuals.ys, residuals.h, inputs.masks, ct_ys),
        reverse=not options.reverse,
        unroll=options.unroll,
    )
    ct_weights, ct_x = weight_gradients(cell, weights, x, residuals.h, ct_parts)
    # None stands for the cotangents of booleans.
    gradients = ct_weights, ct_learned, ct_initial, ct_state, ct_x, None, None
    return _Inputs(*gradients), logs


def pull_back_end(masks_t: Masks, ct_state: Any, ct_y: Any) -> tuple[Any, Any, Any]:
    """Return the cotangents of `before`, `after` and `y_t` in `end_of_step`."""
    zeros = jax.tree.map(jnp.zeros_like, (ct_state, ct_state, ct_y))
    return jax.vjp(lambda *s: end_of_step(masks_t, *s), *zeros)[1]((ct_state, ct_y))


def pull_back_start(masks_t: Masks, ct_start: Any) -> tuple[Any, Any]:
    """Return the cotangents of `initial` and `state` in `start_of_step`."""
    zeros = jax.tree.map(jnp.zeros_like, (ct_start, ct_start))
    return jax.vjp(lambda *s: start_of_step(masks_t, *s), *zeros)[1](ct_start)


def _recurrent_input_cotangent(ct_parts, cell: BoundCell, w_hh: jax.Array) -> jax.Array:
    """Return the cotangent of the array that `w_hh` multiplied."""
    of_w_hh = [ct for ct, part in zip(ct_parts, cell.parts, strict=True) if part.h]
    return product(jnp.concatenate(of_w_hh, axis=-1).astype(w_hh.dtype), w_hh)


def _sum(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)
