"""The forward loops of the in-place scan, and the residuals that they store.

Arguments and results have time on the axis `Loops.axis`; all other arrays have it
first. Each loop runs over a chunk of time. The products of a chunk, which come before
its loop in the forward pass and after it in the backward pass, do not depend on the
loops of other chunks. So XLA on CPUs can compute them at the same time as these loops,
most of whose steps run on one core.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import (
    BoundCell,
    Part,
    Weights,
    blocks,
    plain_hooks,
)
from jaxnets.functional.recurrence.cell_options import Draws
from jaxnets.functional.recurrence.products import (
    add_bias,
    input_projection,
    product,
    sum_projections,
)
from jaxnets.functional.recurrence.time.in_place.chunks import (
    Chunk,
    Loops,
    chunks_in_order,
    scan_chunk,
    slice_chunk,
)
from jaxnets.functional.recurrence.time.in_place.gates import update_and_store
from jaxnets.functional.recurrence.time.in_place.slots import (
    read,
    write,
    write_each,
    zeros_for_steps,
)
from jaxnets.functional.recurrence.time.options import Masks
from jaxnets.functional.recurrence.time.steps import end_of_step, start_of_step


class Inputs(NamedTuple):
    """The arguments: `x (*batch, T, D)` or `(T, *batch, D)`, masks time first."""

    weights: Weights
    initial: Any
    state: Any
    x: jax.Array
    masks: Masks


class Residuals(NamedTuple):
    """The residuals of the forward pass, without its inputs.

    Attributes:
        ys: The outputs, which are the first array of the states, with time as in `x`.
        others: The other arrays of the states.
        slots: The gates, for each chunk and each part of the pre-activations; see
            `gates`.
    """

    ys: jax.Array
    others: list[jax.Array]
    slots: list[list[jax.Array]]


def forward_pass(
    cell: BoundCell, loops: Loops, inputs: Inputs, *, store: bool
) -> tuple[Any, Residuals]:
    """Return the final state and the residuals; without `store`, only `ys` of these."""
    weights, _, state, x, _ = inputs
    h, *rest = jax.tree.leaves(state)
    time = x.shape[loops.axis]
    ys = zeros_for_steps(x, h.shape[-1], h.dtype)
    first = jax.eval_shape(lambda x: jnp.moveaxis(x, loops.axis, 0), x)
    others = [zeros_for_steps(first, a.shape[-1], a.dtype) for a in rest if store]
    arrays, stored = (ys, others), []
    for chunk in chunks_in_order(loops, time) if store else [Chunk(0, time)]:
        slots = []
        if store:
            own = slice_chunk(x, chunk, loops.axis)
            slots = _input_products(cell, weights, own)
        step = _forward_step(cell, loops, inputs, chunk, slots, store=store)
        carry = state, arrays, slots if store else []
        (state, arrays, slots), _ = scan_chunk(
            step, carry, inputs.masks, chunk, loops, descending=loops.reverse
        )
        stored.append(slots)
    ys, others = arrays
    return state, Residuals(ys, others, stored)


def _forward_step(
    cell: BoundCell,
    loops: Loops,
    inputs: Inputs,
    chunk: Chunk,
    products: Sequence[jax.Array],
    *,
    store: bool,
) -> Callable[[Any, jax.Array, Masks], tuple[Any, dict[str, Any]]]:
    """Return the step of a chunk; `products` are its input projections, if computed."""
    weights, initial, _, x, _ = inputs

    def step(carry, t, masks_t):
        state, (ys, others), slots = carry
        start = start_of_step(masks_t, initial, state)
        if products:
            own = [read(a, t - chunk.start, 0) for a in slots or products]
            by_part = _with_bias(cell, weights, own)
        else:
            from_x = input_projection(weights, read(x, t, loops.axis))
            by_part = [None if p.x is None else from_x[..., p.x] for p in cell.parts]
        parts = sum_projections(cell, by_part, jax.tree.leaves(start)[0], weights)
        if store:
            after, y_t, stored = update_and_store(cell, parts, start)
        else:
            hooks = plain_hooks(cell.options)._replace(tap=lambda x, name: x)
            a, stored = blocks(cell, parts), []
            after, y_t = cell.update(cell.other_params, a, start, Draws(), hooks)
        state, y_t = end_of_step(masks_t, state, after, y_t)
        ys = write(ys, [y_t], t, loops.axis)
        if store:
            arrays = [[array] for array in jax.tree.leaves(state)[1:]]
            others = write_each(others, arrays, t, 0)
            slots = write_each(slots, stored, t - chunk.start, 0)
        return (state, (ys, others), slots), {}

    return step


def _input_products(cell: BoundCell, weights: Weights, x: jax.Array) -> list[jax.Array]:
    """Return `x @ w_xh` for each part; zeros for a part that does not depend on `x`."""

    def slots(part: Part) -> jax.Array:
        if part.x is not None:
            return product(x, weights.w_xh[:, part.x])
        width = weights.w_hh[:, part.h].shape[1]
        return zeros_for_steps(x, width, x.dtype)

    return [slots(part) for part in cell.parts]


def _with_bias(
    cell: BoundCell, weights: Weights, products: Sequence[jax.Array]
) -> list[jax.Array | None]:
    """Add the bias to the input projection of each part; None if it has none."""
    b = weights.b
    return [
        add_bias(a, None if b is None else b[part.x]) if part.x else None
        for a, part in zip(products, cell.parts, strict=True)
    ]
