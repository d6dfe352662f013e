"""A scan that stores its residuals in the memory of the input projection.

The split scan stacks each residual in an array of its own, and needs time first. Here
the product `x @ w_xh` of many steps, one of the largest arrays of a program, is reused.
Step t reads its slot of this array and then stores its gates there. The backward pass
reads the gates and then stores the cotangents of the pre-activations in the same slot.
So less memory is allocated.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import BoundCell
from jaxnets.functional.recurrence.time.cotangents import forward_mode_message
from jaxnets.functional.recurrence.time.in_place.backward import backward_pass
from jaxnets.functional.recurrence.time.in_place.chunks import Loops, chunk_count
from jaxnets.functional.recurrence.time.in_place.forward import (
    Inputs,
    Residuals,
    forward_pass,
)
from jaxnets.functional.recurrence.time.options import Masks, ScanOptions
from jaxnets.functional.recurrence.time.second_order import with_second_order
from jaxnets.functional.recurrence.time.segments import in_segments
from jaxnets.tap import is_measuring, reverse_only, taps_by_hand


def in_place_scan(
    cell: BoundCell, state: Any, x: Any, options: ScanOptions
) -> tuple[Any, Any]:
    """Run `cell`, which must have its standard form.

    Args:
        cell: The cell.
        state: Its initial state.
        x: `(*batch, T, D)`, or `(T, *batch, D)`, as `options.time_axis` says.
        options: The scan options.

    Returns:
        The final state, and all outputs with the axes of `x`.
    """
    initial, x = state, jnp.asarray(x)
    if options.segment is None:
        return _scan(cell, options, initial, state, x, options.masks)
    first = options._replace(time_axis=0)

    def scan(state, x, masks, draws):
        del draws
        return _scan(cell, first, initial, state, x, masks)

    return in_segments(scan, state, x, None, options)


def _scan(
    cell: BoundCell,
    options: ScanOptions,
    initial: Any,
    state: Any,
    x: jax.Array,
    masks: Masks,
) -> tuple[Any, jax.Array]:
    """Run over a part of the steps."""
    if x.ndim == 2:
        # A product with a matrix of one row is faster than one with a vector.
        rows = lambda tree, axis: jax.tree.map(lambda a: jnp.expand_dims(a, axis), tree)
        options = options._replace(time_axis=1)
        own = rows(initial, 0), rows(state, 0), x[None], rows(masks, 1)
        state, ys = _scan(cell, options, *own)
        return jax.tree.map(lambda a: a[0], (state, ys))
    axis = options.time_axis
    if masks.valid is not None:
        # Padding may have any values, also NaN.
        real = jnp.moveaxis(masks.valid, 0, axis)[..., None]
        x = jnp.where(real, x, 0)
    # A segment runs inside a loop, where XLA on CPUs has no parallelism to gain.
    count = chunk_count(x.shape[axis]) if options.segment is None else 1
    loops = Loops(axis, options.reverse, options.unroll, count)
    options = options.without_arrays()._replace(time_axis=axis, segment=None)
    run = _differentiable_scan(cell.without_arrays(), options, loops)
    inputs = Inputs(cell.weights, initial, state, x, masks)
    message = forward_mode_message(implementation="in_place")
    return run(reverse_only(inputs, message))


def _differentiable_scan(
    cell: BoundCell, options: ScanOptions, loops: Loops
) -> Callable[[Inputs], tuple[Any, jax.Array]]:
    """Return the scan with its own backward pass."""
    summarise = taps_by_hand(cell.kind.taps) if is_measuring() else None
    forward_rule, backward_rule = with_second_order(
        cell,
        options,
        lambda inputs: _stored(forward_pass(cell, loops, inputs, store=True)),
        lambda inputs, residuals, cotangents: backward_pass(
            cell, loops, inputs, residuals, cotangents, summarise
        ),
    )

    @jax.custom_vjp
    def run(inputs: Inputs):
        state, residuals = forward_pass(cell, loops, inputs, store=False)
        return state, residuals.ys

    def forward(inputs: Inputs):
        result, residuals = forward_rule(inputs)
        return result, (inputs, residuals)

    def backward(saved: tuple[Inputs, Residuals], cotangents: Any) -> Any:
        inputs, residuals = saved
        ct_inputs, logs = backward_rule(inputs, residuals, cotangents)
        return (ct_inputs,) if summarise is None else ((ct_inputs,), logs)

    (run.defvjp if summarise is None else run.defvjp_with_logs)(forward, backward)
    return run


def _stored(passed: tuple[Any, Residuals]) -> tuple[tuple[Any, jax.Array], Residuals]:
    """Return `((state, ys), residuals)` from what the forward pass returns."""
    state, residuals = passed
    return (state, residuals.ys), residuals
