"""A scan over a cell whose backward pass is split in two.

Differentiated as it stands, a loop multiplies in every step for every gradient: for
`dL/dh_{t-1}`, on which the step before waits, but also for `dw_xh`, `dw_hh` and
`dL/dx_t`, on which nothing waits. Here the loop computes the cotangents of the
pre-activations only, `da_t`, and when it is over

    dw_xh = sum over t of x_t^T da_t,   dw_hh = sum over t of h_{t-1}^T da_t,
    dL/dx_t = da_t w_xh^T

are one product each, over all steps at once. The CUDA kernels of haste do the same.

What the gates need for their derivative is asked of JAX, step by step, so every cell
option and every tap works; an array that several of them need is kept once.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.functional.recurrence.cell import (
    Cell,
    Weights,
    input_share,
    preactivations,
    product,
    projects_all_steps_at_once,
)
from jaxnets.functional.recurrence.custom_step import entered, left
from jaxnets.functional.recurrence.time.options import Masks, ScanPlan
from jaxnets.functional.recurrence.time.residuals import Kept, keep
from jaxnets.functional.recurrence.time.segments import in_segments
from jaxnets.tap import is_measuring


class _Inputs(NamedTuple):
    """All that a stretch of time is computed from, with the time axis first."""

    weights: Weights
    learned: Any
    initial: Any
    state: Any
    x: jax.Array
    masks: Masks
    draws: Any


class _Residuals(NamedTuple):
    """What the backward pass needs; `gates` is without what is `ys` or `h`."""

    inputs: _Inputs
    ys: jax.Array
    h: jax.Array
    gates: Kept


def split_scan(
    cell: Cell, state: Any, x: Any, plan: ScanPlan, initial: Any = None
) -> tuple[Any, Any]:
    """Run `cell` over `x`, which has time at `plan.time_axis`, from `state`.

    Resets return to `initial`, which is `state` unless it is given.
    """
    initial = state if initial is None else initial

    def scan(state, x, masks, draws):
        return _differentiable_scan(cell, plan, initial, state, x, masks, draws)

    return in_segments(scan, state, x, cell.draws, plan)


def _differentiable_scan(cell: Cell, plan: ScanPlan, initial, state, x, masks, draws):
    """Run over one stretch of time, with the derivative of this file.

    Resets return to `initial`, which is not the state that a later stretch starts from.
    """
    learned, cell = _opened(cell, initial, x, draws)

    @jax.custom_vjp
    def run(inputs: _Inputs):
        state, (ys, _) = _forward(cell, plan, inputs, keeps=False)
        return state, ys

    def forward(inputs: _Inputs):
        state, (ys, (h, gates)) = _forward(cell, plan, inputs, keeps=True)
        return (state, ys), _Residuals(inputs, ys, h, gates)

    def backward(residuals, cotangents) -> Any:
        gradients, logs = _backward(cell, plan, residuals, cotangents, measured)
        return ((gradients,), logs) if measured else (gradients,)

    measured = is_measuring()
    (run.defvjp_with_logs if measured else run.defvjp)(forward, backward)
    return run(_Inputs(cell.weights, learned, initial, state, x, masks, draws))


def _opened(cell: Cell, initial, x, draws) -> tuple[Any, Cell]:
    """Make arguments of all arrays that `cell.advance` closes over.

    An activation of the user's may hold a parameter of theirs, which must get its
    gradient.
    """

    def parts_of(initial, x_t):
        h = cell.recalled(cell.extras, initial)
        return preactivations(cell, input_share(cell.weights, x_t), h, cell.weights)

    one_step = lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype)
    shapes = lambda tree: jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), tree
    )
    parts = jax.eval_shape(parts_of, initial, one_step(x))
    advance, closed_over = jax.closure_convert(
        cell.advance,
        shapes(cell.extras),
        parts,
        shapes(initial),
        jax.tree.map(one_step, draws),
    )
    opened = lambda learned, *rest: advance(learned[0], *rest, *learned[1])
    recalled = lambda learned, state: cell.recalled(learned[0], state)
    return (cell.extras, closed_over), cell._replace(advance=opened, recalled=recalled)


def _forward(cell: Cell, plan: ScanPlan, inputs: _Inputs, *, keeps: bool) -> Any:
    """Scan forward; with `keeps`, beside the outputs what `_backward` needs."""
    weights, learned, initial, state, x, masks, draws = inputs
    at_once = projects_all_steps_at_once()

    def step(state, inputs):
        x_t, masks_t, draws_t = inputs
        start = entered(masks_t, initial, state)
        h = cell.recalled(learned, start)
        from_x = x_t if at_once else input_share(weights, x_t)
        parts = preactivations(cell, from_x, h, weights)
        gates = lambda learned, parts, start: cell.advance(
            learned, parts, start, draws_t
        )
        if keeps:
            (after, y_t), pullback = jax.vjp(gates, learned, parts, start)
        else:
            (after, y_t), pullback = gates(learned, parts, start), None
        state, y_t = left(masks_t, state, after, y_t)
        kept = (h, keep(pullback, (learned, y_t, h))) if keeps else None
        return state, (y_t, kept)

    xs = input_share(weights, x) if at_once else x
    return jax.lax.scan(
        step, state, (xs, masks, draws), reverse=plan.reverse, unroll=plan.unroll
    )


def _backward(
    cell: Cell, plan: ScanPlan, residuals: _Residuals, cotangents: Any, measured: bool
) -> tuple[_Inputs, dict[str, Any]]:
    """Return the cotangents of all `_Inputs`, and what the taps have logged."""
    weights, learned, initial, _, x, _, _ = inputs = residuals.inputs
    ct_state, ct_ys = cotangents
    w_hh = jnp.swapaxes(weights.w_hh, 0, 1)

    def step(carry, kept):
        ct_state, ct_initial, ct_learned = carry
        gates, y_t, h, masks_t, ct_y = kept
        ct_before, ct_after, ct_y = through_left(masks_t, ct_state, ct_y)
        (ct_gates, ct_parts, ct_start), logs = gates.pull(
            (learned, y_t, h), (ct_after, ct_y), measured=measured
        )
        ct_h = _summed_product(ct_parts, cell, w_hh).astype(h.dtype)
        recalled = lambda state: cell.recalled(learned, state)
        _, pull_recalled = jax.vjp(recalled, jax.tree.map(jnp.zeros_like, initial))
        ct_start = _sum(ct_start, *pull_recalled(ct_h))
        ct_reset, ct_state = through_entered(masks_t, ct_start)
        if masks_t.resets is not None:
            ct_initial = _sum(ct_initial, ct_reset)
        carry = _sum(ct_state, ct_before), ct_initial, _sum(ct_learned, ct_gates)
        return carry, (ct_parts, logs)

    zeros = jax.tree.map(jnp.zeros_like, (initial, learned))
    (ct_state, ct_initial, ct_learned), (ct_parts, logs) = jax.lax.scan(
        step,
        (ct_state, *zeros),
        (residuals.gates, residuals.ys, residuals.h, inputs.masks, ct_ys),
        reverse=not plan.reverse,
        unroll=plan.unroll,
    )
    ct_weights, ct_x = products_of_all_steps(cell, weights, x, residuals.h, ct_parts)
    ct_masks, ct_draws = jax.tree.map(no_cotangent, (inputs.masks, inputs.draws))
    gradients = ct_weights, ct_learned, ct_initial, ct_state, ct_x, ct_masks, ct_draws
    return _Inputs(*gradients), logs


def products_of_all_steps(cell: Cell, weights: Weights, x, h, ct_parts):
    """Return the cotangents of the weights and of `x`, one product for each part."""
    # As the arguments are multiplied in 16 bits, so are their cotangents.
    narrow = [ct.astype(x.dtype) for ct in ct_parts]
    flat = lambda a: a.reshape(-1, a.shape[-1])
    from_x = [ct for ct, part in zip(narrow, cell.parts, strict=True) if part.x]
    from_h = [ct for ct, part in zip(narrow, cell.parts, strict=True) if part.h]
    over_time = lambda a, cts: jnp.concatenate(
        [product(flat(a).T, flat(ct)) for ct in cts], axis=-1
    )
    lead = tuple(range(x.ndim - 1))
    b = None
    if weights.b is not None:
        wide = [ct for ct, part in zip(ct_parts, cell.parts, strict=True) if part.x]
        b = jnp.concatenate([jnp.sum(ct, lead) for ct in wide])
        b = b.astype(weights.b.dtype)
    b_h = None
    if weights.b_h is not None:
        own = [ct for ct, part in zip(ct_parts, cell.parts, strict=True) if not part.x]
        b_h = jnp.concatenate([jnp.sum(ct, lead) for ct in own])
        b_h = b_h.astype(weights.b_h.dtype)
    ct_weights = Weights(
        over_time(x, from_x).astype(weights.w_xh.dtype),
        over_time(h, from_h).astype(weights.w_hh.dtype),
        b,
        b_h,
    )
    w_xh = [weights.w_xh[:, part.x] for part in cell.parts if part.x]
    shares = [product(ct, w.T) for ct, w in zip(from_x, w_xh, strict=True)]
    return ct_weights, sum(shares[1:], shares[0]).astype(x.dtype)


def through_left(masks_t: Masks, ct_state: Any, ct_y: Any) -> tuple[Any, Any, Any]:
    """Pull cotangents back through `left`: to the state before, after, and to y_t."""
    zeros = jax.tree.map(jnp.zeros_like, (ct_state, ct_state, ct_y))
    return jax.vjp(lambda *s: left(masks_t, *s), *zeros)[1]((ct_state, ct_y))


def through_entered(masks_t: Masks, ct_start: Any) -> tuple[Any, Any]:
    """Pull a cotangent back through `entered`: to the initial state and the last."""
    zeros = jax.tree.map(jnp.zeros_like, (ct_start, ct_start))
    return jax.vjp(lambda *s: entered(masks_t, *s), *zeros)[1](ct_start)


def _summed_product(ct_parts, cell: Cell, w_hh: jax.Array) -> jax.Array:
    """Multiply back through `w_hh` what its columns have made."""
    seen = [ct for ct, part in zip(ct_parts, cell.parts, strict=True) if part.h]
    return product(jnp.concatenate(seen, axis=-1).astype(w_hh.dtype), w_hh)


def no_cotangent(mask: jax.Array) -> np.ndarray:
    """Return the cotangent that JAX wants for a boolean."""
    return np.zeros(mask.shape, jax.dtypes.float0)


def _sum(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)
