"""A scan whose loop over time is a persistent kernel in each of its passes.

The forward kernel computes the outputs from `x @ w_xh + b`, which is one product for
all steps. The residuals are the outputs, and for the LSTM the memory cell of each step.
From these the backward pass computes the pre-activations of all steps once more, with
one product. The backward kernel then computes their cotangents. The gradients of the
weights are products after it, as in the split scan.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import BoundCell
from jaxnets.functional.recurrence.products import (
    input_projection,
    preactivations,
    weight_gradients,
)
from jaxnets.functional.recurrence.time.in_place.backward import NO_MASKS
from jaxnets.functional.recurrence.time.in_place.forward import Inputs
from jaxnets.functional.recurrence.time.options import Masks, ScanOptions
from jaxnets.functional.recurrence.time.second_order import with_second_order
from jaxnets.functional.recurrence.time.segments import zero_unless


class Passes(NamedTuple):
    """The kernels of both passes, with the arguments that `hopper` documents."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]


class _Residuals(NamedTuple):
    """The outputs `ys`, and `cs`, the LSTM's memory cell after each step, or None."""

    ys: jax.Array
    cs: jax.Array | None


def persistent_scan(
    passes: Passes, cell: BoundCell, state: Any, x: jax.Array, options: ScanOptions
) -> tuple[Any, jax.Array]:
    """Run `cell`, which must have its standard form.

    Args:
        passes: The kernels.
        cell: The cell.
        state: Its initial state.
        x: `(*batch, T, D)`, or `(T, *batch, D)`, as `options.time_axis` says.
        options: The scan options, without `checkpoint` and `truncate`.

    Returns:
        The final state, and all outputs with the axes of `x`.
    """
    moved = jnp.moveaxis(x, options.time_axis, 0)
    if options.valid is not None:
        # Padding may have any values, also NaN.
        moved = zero_unless(options.valid, moved)
    time, *batch, features = moved.shape
    flat = jax.tree.map(lambda s: s.reshape(-1, s.shape[-1]), state)
    masks = jax.tree.map(lambda mask: mask.reshape(time, -1), options.masks)
    inputs = Inputs(cell.weights, flat, flat, moved.reshape(time, -1, features), masks)
    plain = options.without_arrays()._replace(time_axis=0)
    run = _differentiable_scan(passes, cell.without_arrays(), plain)
    final, ys = run(inputs)
    final = jax.tree.map(lambda s: s.reshape(*batch, -1), final)
    return final, jnp.moveaxis(ys.reshape(time, *batch, -1), 0, options.time_axis)


def _differentiable_scan(
    passes: Passes, cell: BoundCell, options: ScanOptions
) -> Callable[[Inputs], tuple[Any, jax.Array]]:
    """Return the scan with its own backward pass."""
    forward_rule, backward_rule = with_second_order(
        cell,
        options,
        lambda inputs: _forward(passes, cell, options, inputs),
        lambda *saved: (_backward(passes, cell, options, *saved), {}),
    )

    @jax.custom_vjp
    def run(inputs: Inputs):
        return forward_rule(inputs)[0]

    def forward(inputs: Inputs):
        result, residuals = forward_rule(inputs)
        return result, (inputs, residuals)

    def backward(saved: tuple[Inputs, _Residuals], cotangents: Any) -> Any:
        return (backward_rule(*saved, cotangents)[0],)

    run.defvjp(forward, backward)
    return run


def _forward(
    passes: Passes, cell: BoundCell, options: ScanOptions, inputs: Inputs
) -> tuple[tuple[Any, jax.Array], _Residuals]:
    """Return `((state, ys), residuals)`."""
    weights, state, _, x, masks = inputs
    leaves, structure = jax.tree.flatten(state)
    b_h = None if weights.b_h is None else weights.b_h.astype(jnp.float32)
    ys, cs, final = passes.forward(
        cell.kind.name,
        input_projection(weights, x).astype(x.dtype),
        weights.w_hh,
        b_h,
        tuple(s.astype(jnp.float32) for s in leaves),
        _codes(masks),
        reverse=options.reverse,
    )
    final = [s.astype(x.dtype) for s in final]
    return (jax.tree.unflatten(structure, final), ys), _Residuals(ys, cs)


def _backward(
    passes: Passes,
    cell: BoundCell,
    options: ScanOptions,
    inputs: Inputs,
    residuals: _Residuals,
    cotangents: tuple[Any, jax.Array],
) -> Inputs:
    """Return the cotangents of `inputs`."""
    weights, state, _, x, masks = inputs
    ct_final, ct_ys = cotangents
    before = _states_before(state, residuals, masks, reverse=options.reverse)
    from_x = input_projection(weights, x)
    parts = preactivations(cell, from_x, before[0], weights)
    # The kernel reads the GRU's a_r, a_z and a_n from one array, and a_hn from another.
    own = parts if len(parts) == 1 else (jnp.concatenate(parts[:2], -1), parts[2])
    ct_own, ct_state, ct_initial = passes.backward(
        cell.kind.name,
        tuple(a.astype(x.dtype) for a in own),
        weights.w_hh,
        before,
        _codes(masks),
        ct_ys,
        tuple(ct.astype(jnp.float32) for ct in jax.tree.leaves(ct_final)),
        reverse=options.reverse,
    )
    if len(parts) > 1:
        split = jnp.split(ct_own[0], [parts[0].shape[-1]], axis=-1)
        ct_own = (*split, *ct_own[1:])
    ct_weights, ct_x = weight_gradients(cell, weights, x, before[0], ct_own)
    like_state = lambda cts: jax.tree.unflatten(
        jax.tree.structure(state), [ct.astype(x.dtype) for ct in cts]
    )
    ct_initial = (
        [jnp.zeros_like(c) for c in ct_state] if ct_initial is None else ct_initial
    )
    return Inputs(
        ct_weights, like_state(ct_initial), like_state(ct_state), ct_x, NO_MASKS
    )


def _states_before(
    initial: Any, residuals: _Residuals, masks: Masks, *, reverse: bool
) -> tuple[jax.Array, ...]:
    """Return the state at the start of each step, after a reset."""

    def before(after: jax.Array, first: jax.Array) -> jax.Array:
        if reverse:
            return jnp.concatenate([after[1:], first[None]])
        return jnp.concatenate([first[None], after[:-1]])

    h_initial, *others = jax.tree.leaves(initial)
    h = before(residuals.ys, h_initial)
    if reverse and masks.valid is not None:
        # Padding is computed first. Its outputs are zero; the state does not change.
        real = before(masks.valid, jnp.ones_like(masks.valid[0]))
        h = jnp.where(real[..., None], h, h_initial[None])
    states = [(h, h_initial)]
    if residuals.cs is not None:
        c_initial = others[0].astype(residuals.cs.dtype)
        states.append((before(residuals.cs, c_initial), c_initial))
    if masks.resets is None:
        return tuple(s for s, _ in states)
    resets = masks.resets[..., None]
    return tuple(jnp.where(resets, first[None], s) for s, first in states)


def _codes(masks: Masks) -> jax.Array | None:
    """Return the masks as integers: 1 for a real step, plus 2 for a reset before it."""
    valid, resets, _ = masks
    if valid is None and resets is None:
        return None
    one, two = jnp.int32(1), jnp.int32(2)
    codes = one if valid is None else valid.astype(jnp.int32)
    return codes if resets is None else codes * jnp.where(resets, one + two, one)
