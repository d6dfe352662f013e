"""The loops of the in-place scan on the way back; see `in_place_forward`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import Cell, product
from jaxnets.functional.recurrence.custom_step import entered
from jaxnets.functional.recurrence.time.in_place.chunks import (
    Stretch,
    Walk,
    part_of,
    scan_stretch,
    stretches,
)
from jaxnets.functional.recurrence.time.in_place.forward import Inputs, Kept
from jaxnets.functional.recurrence.time.in_place.slots import hold, read, write_each
from jaxnets.functional.recurrence.time.options import Masks
from jaxnets.functional.recurrence.time.split import (
    products_of_all_steps,
    through_entered,
    through_left,
)
from jaxnets.tap import Tapped


# What is to be logged of values and cotangents.
Taps = Callable[[Tapped], dict[str, Any]]

NO_MASKS = Masks(None, None, None)


def backward_pass(
    cell: Cell,
    walk: Walk,
    inputs: Inputs,
    kept: Kept,
    cotangents: tuple[Any, jax.Array],
    taps: Taps | None,
) -> tuple[Inputs, dict[str, Any]]:
    """Return the cotangents of `inputs`, and what `taps` made of those inside.

    Masks have none: of theirs there is no type that a function returns.

    Args:
        cell: The cell.
        walk: How the forward pass walked.
        inputs: Of the forward pass.
        kept: Of the forward pass.
        cotangents: Of the final state and of `ys`.
        taps: What summarises them; None if nothing measures.
    """
    weights, initial, _, x, masks = inputs
    ct_state, ct_ys = cotangents
    ct_initial = jax.tree.map(jnp.zeros_like, initial)
    ct_weights = jax.tree.map(jnp.zeros_like, weights)
    ct_x, logs = jnp.zeros_like(x), {}
    order = stretches(walk, x.shape[walk.axis])
    for stretch, places in reversed(list(zip(order, kept.places, strict=True))):
        step = _backward_step(cell, walk, inputs, kept, ct_ys, stretch, taps)
        (ct_state, ct_initial, ct_parts), logs[stretch] = scan_stretch(
            step,
            (ct_state, ct_initial, places),
            masks,
            stretch,
            walk,
            descending=not walk.reverse,
        )
        h = _hidden_before(inputs, kept, stretch, walk)
        own = part_of(x, stretch, walk.axis)
        ct_share, ct_own = products_of_all_steps(cell, weights, own, h, ct_parts)
        ct_weights = _sum(ct_weights, ct_share)
        ct_own = jnp.moveaxis(ct_own, 0, walk.axis)
        ct_x = jax.lax.dynamic_update_slice_in_dim(
            ct_x, ct_own, stretch.start, walk.axis
        )
    in_order = [logs[stretch] for stretch in sorted(logs)]
    logs = jax.tree.map(lambda *steps: jnp.concatenate(steps), *in_order)
    return Inputs(ct_weights, ct_initial, ct_state, ct_x, NO_MASKS), logs


def _backward_step(
    cell: Cell,
    walk: Walk,
    inputs: Inputs,
    kept: Kept,
    ct_ys: jax.Array,
    stretch: Stretch,
    taps: Taps | None,
) -> Callable[[Any, jax.Array, Masks], tuple[Any, dict[str, Any]]]:
    """Return a step of the way back, which leaves cotangents where the gates were."""
    initial = inputs.initial
    through_w_hh = _transposed_product(inputs.weights.w_hh)

    def step(carry, t, masks_t):
        ct_state, ct_initial, places = carry
        start = entered(masks_t, initial, _state_before(t, inputs, kept, walk))
        ct_y = read(ct_ys, t, walk.axis)
        ct_before, ct_after, ct_y = through_left(masks_t, ct_state, ct_y)
        gates = hold([read(place, t - stretch.start, 0) for place in places])
        ct_after = _plus_hidden(ct_after, ct_y)
        ct_parts, ct_start, tapped = cell.gates.backward(gates, start, ct_after)
        ct_parts, ct_start = hold((ct_parts, ct_start))
        ct_h = through_w_hh(_seen_by_state(cell, ct_parts))
        ct_reset, ct_state = through_entered(masks_t, _plus_hidden(ct_start, ct_h))
        if masks_t.resets is not None:
            ct_initial = _sum(ct_initial, ct_reset)
        places = write_each(places, ct_parts, t - stretch.start, 0)
        logs = {} if taps is None else taps(tapped)
        return (_sum(ct_state, ct_before), ct_initial, places), logs

    return step


def _seen_by_state(cell: Cell, ct_parts: Sequence[Sequence[jax.Array]]) -> jax.Array:
    """Join the cotangents of what `w_hh` has made."""
    seen = [ct for ct, part in zip(ct_parts, cell.parts, strict=True) if part.h]
    return jnp.concatenate([block for blocks in seen for block in blocks], axis=-1)


def _transposed_product(w: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """Return what multiplies `ct @ w.T`."""
    inner, outer = w.shape
    if outer > inner and w.size >= 2**18:
        # Large wide matrices XLA's library for CPUs multiplies mostly 1.2 to 1.6 times
        # as fast so; small or square ones it does not.
        return lambda ct: hold(product(w, ct.T)).T
    w_transposed = w.T  # once, before the loop
    return lambda ct: product(ct, w_transposed)


def _state_before(t: jax.Array, inputs: Inputs, kept: Kept, walk: Walk) -> Any:
    """Read the state that step `t` was given."""
    leaves, structure = jax.tree.flatten(inputs.state)
    last = inputs.x.shape[walk.axis] - 1
    first, before = (last, t + 1) if walk.reverse else (0, t - 1)
    before = jnp.clip(before, 0, last)
    last_state = [read(kept.ys, before, walk.axis)]
    last_state += [read(a, before, 0) for a in kept.others]
    valid = inputs.masks.valid
    if valid is not None:
        # The output of a padded step is zero. Where one comes before a real step, with
        # `reverse`, the state is still the one at the start.
        real = valid[before][:, None]
        last_state[0] = jnp.where(real, last_state[0], leaves[0])
    pairs = zip(leaves, last_state, strict=True)
    return jax.tree.unflatten(structure, [jnp.where(t == first, *p) for p in pairs])


def _hidden_before(
    inputs: Inputs, kept: Kept, stretch: Stretch, walk: Walk
) -> jax.Array:
    """Return what `w_hh` multiplied, of a stretch, as far as it matters; time first."""
    axis, (valid, resets, _) = walk.axis, inputs.masks
    time = inputs.x.shape[axis]
    back = 1 if walk.reverse else -1
    start, stop = stretch.start + back, stretch.stop + back
    h_start = jax.tree.leaves(inputs.state)[0]

    def before(array: jax.Array, first: jax.Array, axis: int) -> jax.Array:
        known = jax.lax.slice_in_dim(array, max(start, 0), min(stop, time), axis=axis)
        if start < 0:
            return jnp.concatenate([first, known], axis)
        return known if stop <= time else jnp.concatenate([known, first], axis)

    h = jnp.moveaxis(before(kept.ys, jnp.expand_dims(h_start, axis), axis), axis, 0)
    if valid is not None:
        real = before(valid, jnp.ones_like(valid[:1]), 0)
        h = jnp.where(real[..., None], h, h_start)
    if resets is not None:
        h_initial = jax.tree.leaves(inputs.initial)[0]
        h = jnp.where(resets[slice(*stretch), :, None], h_initial, h)
    return h


def _plus_hidden(state: Any, h: jax.Array) -> Any:
    """Add `h` to the first array of a state."""
    (first, *others), structure = jax.tree.flatten(state)
    return jax.tree.unflatten(structure, [first + h, *others])


def _sum(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)
