"""The backward loops of the in-place scan; see `forward`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import BoundCell
from jaxnets.functional.recurrence.products import product, weight_gradients
from jaxnets.functional.recurrence.time.in_place.chunks import (
    Chunk,
    Loops,
    chunks_in_order,
    scan_chunk,
    slice_chunk,
)
from jaxnets.functional.recurrence.time.in_place.forward import Inputs, Residuals
from jaxnets.functional.recurrence.time.in_place.gates import pull_back_update
from jaxnets.functional.recurrence.time.in_place.slots import (
    barrier,
    read,
    write_each,
)
from jaxnets.functional.recurrence.time.options import Masks
from jaxnets.functional.recurrence.time.split import pull_back_end, pull_back_start
from jaxnets.functional.recurrence.time.steps import start_of_step
from jaxnets.tap import Tapped


# Returns the logs of taps from their values and cotangents.
Summarise = Callable[[Tapped], dict[str, Any]]

NO_MASKS = Masks(None, None, None)


def backward_pass(
    cell: BoundCell,
    loops: Loops,
    inputs: Inputs,
    residuals: Residuals,
    cotangents: tuple[Any, jax.Array],
    summarise: Summarise | None,
) -> tuple[Inputs, dict[str, Any]]:
    """Return the cotangents of `inputs`, and the logs of the taps.

    The masks in the result are None, since the cotangent of a boolean has a type that
    cannot be returned here.

    Args:
        cell: The cell.
        loops: How the loops run.
        inputs: The inputs of the forward pass.
        residuals: The residuals of the forward pass.
        cotangents: The cotangents of the final state and of `ys`.
        summarise: Returns the logs of the taps; None if nothing is measured.
    """
    weights, initial, _, x, masks = inputs
    ct_state, ct_ys = cotangents
    ct_initial = jax.tree.map(jnp.zeros_like, initial)
    ct_weights = jax.tree.map(jnp.zeros_like, weights)
    ct_x, logs = jnp.zeros_like(x), {}
    order = chunks_in_order(loops, x.shape[loops.axis])
    for chunk, slots in reversed(list(zip(order, residuals.slots, strict=True))):
        step = _backward_step(cell, loops, inputs, residuals, ct_ys, chunk, summarise)
        (ct_state, ct_initial, ct_parts), logs[chunk] = scan_chunk(
            step,
            (ct_state, ct_initial, slots),
            masks,
            chunk,
            loops,
            descending=not loops.reverse,
        )
        h = _hidden_before(inputs, residuals, chunk, loops)
        own = slice_chunk(x, chunk, loops.axis)
        ct_share, ct_own = weight_gradients(cell, weights, own, h, ct_parts)
        ct_weights = _sum(ct_weights, ct_share)
        ct_own = jnp.moveaxis(ct_own, 0, loops.axis)
        ct_x = jax.lax.dynamic_update_slice_in_dim(
            ct_x, ct_own, chunk.start, loops.axis
        )
    in_order = [logs[chunk] for chunk in sorted(logs)]
    logs = jax.tree.map(lambda *steps: jnp.concatenate(steps), *in_order)
    return Inputs(ct_weights, ct_initial, ct_state, ct_x, NO_MASKS), logs


def _backward_step(
    cell: BoundCell,
    loops: Loops,
    inputs: Inputs,
    residuals: Residuals,
    ct_ys: jax.Array,
    chunk: Chunk,
    summarise: Summarise | None,
) -> Callable[[Any, jax.Array, Masks], tuple[Any, dict[str, Any]]]:
    """Return a step that replaces the gates by cotangents of the pre-activations."""
    initial = inputs.initial
    through_w_hh = _transposed_product(inputs.weights.w_hh)
    taps = () if summarise is None else cell.kind.taps

    def step(carry, t, masks_t):
        ct_state, ct_initial, slots = carry
        start = start_of_step(
            masks_t, initial, _state_before(t, inputs, residuals, loops)
        )
        ct_y = read(ct_ys, t, loops.axis)
        ct_before, ct_after, ct_y = pull_back_end(masks_t, ct_state, ct_y)
        stored = barrier([read(slot, t - chunk.start, 0) for slot in slots])
        ct_parts, ct_start, tapped = pull_back_update(
            cell, stored, start, (ct_after, ct_y), taps
        )
        ct_parts, ct_start = barrier((ct_parts, ct_start))
        ct_h = through_w_hh(_w_hh_columns(cell, ct_parts))
        ct_reset, ct_state = pull_back_start(masks_t, _add_to_hidden(ct_start, ct_h))
        if masks_t.resets is not None:
            ct_initial = _sum(ct_initial, ct_reset)
        slots = write_each(slots, ct_parts, t - chunk.start, 0)
        logs = {} if summarise is None else summarise(tapped)
        return (_sum(ct_state, ct_before), ct_initial, slots), logs

    return step


def _w_hh_columns(
    cell: BoundCell, ct_parts: Sequence[Sequence[jax.Array]]
) -> jax.Array:
    """Concatenate the cotangents of the columns of `w_hh`."""
    cts = [ct for ct, part in zip(ct_parts, cell.parts, strict=True) if part.h]
    return jnp.concatenate([block for blocks in cts for block in blocks], axis=-1)


def _transposed_product(w: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """Return the function `ct -> ct @ w.T`."""
    inner, outer = w.shape
    if outer > inner and w.size >= 2**18:
        # The order of XLA's matrix library for CPUs for large wide matrices.
        return lambda ct: jnp.moveaxis(barrier(jnp.tensordot(w, ct, (1, -1))), 0, -1)
    w_transposed = w.T  # once, before the loop
    return lambda ct: product(ct, w_transposed)


def _state_before(
    t: jax.Array, inputs: Inputs, residuals: Residuals, loops: Loops
) -> Any:
    """Return the state before step `t`, from the residuals."""
    leaves, structure = jax.tree.flatten(inputs.state)
    last = inputs.x.shape[loops.axis] - 1
    first, before = (last, t + 1) if loops.reverse else (0, t - 1)
    before = jnp.clip(before, 0, last)
    last_state = [read(residuals.ys, before, loops.axis)]
    last_state += [read(a, before, 0) for a in residuals.others]
    valid = inputs.masks.valid
    if valid is not None:
        # The output at padding is zero. With `reverse`, padding is computed before the
        # real steps, and there the state is still the initial one.
        real = valid[before][..., None]
        last_state[0] = jnp.where(real, last_state[0], leaves[0])
    pairs = zip(leaves, last_state, strict=True)
    return jax.tree.unflatten(structure, [jnp.where(t == first, *p) for p in pairs])


def _hidden_before(
    inputs: Inputs, residuals: Residuals, chunk: Chunk, loops: Loops
) -> jax.Array:
    """Return the arrays that `w_hh` multiplied in a chunk, time first."""
    axis, (valid, resets, _) = loops.axis, inputs.masks
    time = inputs.x.shape[axis]
    back = 1 if loops.reverse else -1
    start, stop = chunk.start + back, chunk.stop + back
    h_start = jax.tree.leaves(inputs.state)[0]

    def before(array: jax.Array, first: jax.Array, axis: int) -> jax.Array:
        known = jax.lax.slice_in_dim(array, max(start, 0), min(stop, time), axis=axis)
        if start < 0:
            return jnp.concatenate([first, known], axis)
        return known if stop <= time else jnp.concatenate([known, first], axis)

    h = jnp.moveaxis(
        before(residuals.ys, jnp.expand_dims(h_start, axis), axis), axis, 0
    )
    if valid is not None:
        real = before(valid, jnp.ones_like(valid[:1]), 0)
        h = jnp.where(real[..., None], h, h_start)
    if resets is not None:
        h_initial = jax.tree.leaves(inputs.initial)[0]
        h = jnp.where(resets[slice(*chunk), ..., None], h_initial, h)
    return h


def _add_to_hidden(state: Any, h: jax.Array) -> Any:
    """Add `h` to the first array of a state, which is the output."""
    (first, *others), structure = jax.tree.flatten(state)
    return jax.tree.unflatten(structure, [first + h, *others])


def _sum(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)
