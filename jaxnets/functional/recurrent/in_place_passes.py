"""The loops of the in-place scan, forward and backward.

Arrays of all steps have time on the axis `Walk.axis`, where `x` has it; only masks,
which the loops scan over, have it first.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrent.cell import (
    Cell,
    Part,
    Tapped,
    Weights,
    input_share,
    product,
    projects_all_steps_at_once,
    spread,
    totals,
)
from jaxnets.functional.recurrent.places import (
    Walk,
    hold,
    read,
    write,
    write_each,
)
from jaxnets.functional.recurrent.recurrence import entered, left
from jaxnets.functional.recurrent.scan_options import Masks
from jaxnets.functional.recurrent.split_scan import (
    no_cotangent,
    products_of_all_steps,
    through_entered,
    through_left,
)


class Inputs(NamedTuple):
    """All that is computed from; `x` is `(N, T, D)` or `(T, N, D)`, masks `(T, N)`."""

    weights: Weights
    initial: Any
    state: Any
    x: jax.Array
    masks: Masks


class Kept(NamedTuple):
    """What the backward pass needs of every step.

    Attributes:
        ys: The outputs, which are the first array of each state.
        others: The other arrays of each state.
        places: For each part of the pre-activations, what the gates left in its place.
    """

    ys: jax.Array
    others: list[jax.Array]
    places: list[jax.Array]


# What is to be logged of values and cotangents.
Taps = Callable[[Tapped], dict[str, Any]]


def forward_pass(
    cell: Cell, walk: Walk, inputs: Inputs, *, keeps: bool
) -> tuple[Any, Kept]:
    """Return the final state and `ys`; with `keeps`, all of `Kept`."""
    weights, initial, state, x, _ = inputs
    at_once = keeps or projects_all_steps_at_once()
    places = _input_products(cell, weights, x) if at_once else []

    def step(carry, t, masks_t):
        state, kept = carry
        start = entered(masks_t, initial, state)
        if at_once:
            products = hold([read(a, t, walk) for a in kept.places or places])
            shares = _with_bias(cell, weights, products)
        else:
            from_x = input_share(weights, read(x, t, walk))
            shares = [None if p.x is None else from_x[..., p.x] for p in cell.parts]
        parts = totals(cell, shares, jax.tree.leaves(start)[0], weights)
        gates, after = cell.gates.forward(parts, start, hold if keeps else _let)
        y_t = jax.tree.leaves(after)[0]
        state, y_t = left(masks_t, state, after, y_t)
        ys = write(kept.ys, [y_t], t, walk)
        if keeps:
            others = [[array] for array in jax.tree.leaves(state)[1:]]
            kept = Kept(
                ys,
                write_each(kept.others, others, t, walk),
                write_each(kept.places, gates, t, walk),
            )
        else:
            kept = Kept(ys, [], [])
        return (state, kept), {}

    room = lambda a: jnp.zeros((*x.shape[:2], a.shape[-1]), a.dtype)
    ys, *others = map(room, jax.tree.leaves(state))
    kept = Kept(ys, others, places) if keeps else Kept(ys, [], [])
    carry, _ = _scan(step, (state, kept), inputs, walk, descending=walk.reverse)
    return carry


def backward_pass(
    cell: Cell,
    walk: Walk,
    inputs: Inputs,
    kept: Kept,
    cotangents: tuple[Any, jax.Array],
    taps: Taps | None,
) -> tuple[Inputs, dict[str, Any]]:
    """Return the cotangents of `inputs`, and what `taps` made of those inside.

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
    w_hh = jnp.swapaxes(weights.w_hh, 0, 1)

    def step(carry, t, masks_t):
        ct_state, ct_initial, places = carry
        start = entered(masks_t, initial, _state_before(t, inputs, kept, walk))
        ct_y = read(ct_ys, t, walk)
        ct_before, ct_after, ct_y = through_left(masks_t, ct_state, ct_y)
        gates = hold([read(place, t, walk) for place in places])
        ct_after = _plus_hidden(ct_after, ct_y)
        ct_parts, ct_start, tapped = cell.gates.backward(gates, start, ct_after)
        ct_parts, ct_start = hold((ct_parts, ct_start))
        ct_h = product(_seen_by_state(cell, ct_parts), w_hh)
        ct_reset, ct_state = through_entered(masks_t, _plus_hidden(ct_start, ct_h))
        if masks_t.resets is not None:
            ct_initial = _sum(ct_initial, ct_reset)
        places = write_each(places, ct_parts, t, walk)
        logs = {} if taps is None else taps(tapped)
        return (_sum(ct_state, ct_before), ct_initial, places), logs

    carry = ct_state, jax.tree.map(jnp.zeros_like, initial), kept.places
    carry, logs = _scan(step, carry, inputs, walk, descending=not walk.reverse)
    ct_state, ct_initial, ct_parts = carry
    h = _hidden_before(inputs, kept, walk)
    ct_weights, ct_x = products_of_all_steps(cell, weights, x, h, ct_parts)
    ct_masks = jax.tree.map(no_cotangent, masks)
    return Inputs(ct_weights, ct_initial, ct_state, ct_x, ct_masks), logs


def _scan(
    step: Callable[[Any, jax.Array, Masks], tuple[Any, dict[str, Any]]],
    carry: Any,
    inputs: Inputs,
    walk: Walk,
    *,
    descending: bool,
) -> tuple[Any, dict[str, Any]]:
    """Scan `step(carry, t, masks_t)` over all steps, the last first if `descending`."""
    time = inputs.x.shape[walk.axis]

    def counted(carry, masks_t):
        # A counter is cheaper than the numbers of all steps, read one by one.
        count, carry = carry
        t = time - 1 - count if descending else count
        carry, logs = step(carry, t, masks_t)
        return (count + 1, carry), logs

    (_, carry), logs = jax.lax.scan(
        counted,
        (jnp.zeros((), jnp.int32), carry),
        inputs.masks,
        length=time,
        reverse=descending,
        unroll=walk.unroll,
    )
    return carry, logs


def _let(arrays: Any) -> Any:
    return arrays


def _input_products(cell: Cell, weights: Weights, x: jax.Array) -> list[jax.Array]:
    """Multiply all of `x`, part by part; where it has no share there are zeros."""

    def place(part: Part) -> jax.Array:
        if part.x is not None:
            return product(x, weights.w_xh[:, part.x])
        width = weights.w_hh[:, part.h].shape[1]
        return jnp.zeros((*x.shape[:2], width), x.dtype)

    return [place(part) for part in cell.parts]


def _with_bias(
    cell: Cell, weights: Weights, products: Sequence[jax.Array]
) -> list[jax.Array | None]:
    """Complete the input's share of each part; None where it has none."""
    return [
        a + spread(weights.b[part.x], a) if part.x else None
        for a, part in zip(products, cell.parts, strict=True)
    ]


def _seen_by_state(cell: Cell, ct_parts: Sequence[Sequence[jax.Array]]) -> jax.Array:
    """Join the cotangents of what `w_hh` has made."""
    seen = [ct for ct, part in zip(ct_parts, cell.parts, strict=True) if part.h]
    return jnp.concatenate([block for blocks in seen for block in blocks], axis=-1)


def _state_before(t: jax.Array, inputs: Inputs, kept: Kept, walk: Walk) -> Any:
    """Read the state that step `t` was given."""
    leaves, structure = jax.tree.flatten(inputs.state)
    last = inputs.x.shape[walk.axis] - 1
    first, before = (last, t + 1) if walk.reverse else (0, t - 1)
    before = jnp.clip(before, 0, last)
    last_state = [read(a, before, walk) for a in (kept.ys, *kept.others)]
    valid = inputs.masks.valid
    if valid is not None:
        # The output of a padded step is zero. Where one comes before a real step, with
        # `reverse`, the state is still the one at the start.
        real = valid[before][:, None]
        last_state[0] = jnp.where(real, last_state[0], leaves[0])
    pairs = zip(leaves, last_state, strict=True)
    return jax.tree.unflatten(structure, [jnp.where(t == first, *p) for p in pairs])


def _hidden_before(inputs: Inputs, kept: Kept, walk: Walk) -> jax.Array:
    """Return what `w_hh` multiplied, of all steps, as far as it matters."""
    axis, (valid, resets, _) = walk.axis, inputs.masks
    h_start = jnp.expand_dims(jax.tree.leaves(inputs.state)[0], axis)

    def shifted(array: jax.Array, first: jax.Array, axis: int) -> jax.Array:
        count = array.shape[axis] - 1
        if walk.reverse:
            later = jax.lax.slice_in_dim(array, 1, count + 1, axis=axis)
            return jnp.concatenate([later, first], axis)
        earlier = jax.lax.slice_in_dim(array, 0, count, axis=axis)
        return jnp.concatenate([first, earlier], axis)

    in_place = lambda mask: jnp.moveaxis(mask, 0, axis)[..., None]
    h = shifted(kept.ys, h_start, axis)
    if valid is not None:
        before = shifted(valid, jnp.ones_like(valid[:1]), 0)
        h = jnp.where(in_place(before), h, h_start)
    if resets is not None:
        h_initial = jnp.expand_dims(jax.tree.leaves(inputs.initial)[0], axis)
        h = jnp.where(in_place(resets), h_initial, h)
    return h


def _plus_hidden(state: Any, h: jax.Array) -> Any:
    """Add `h` to the first array of a state."""
    (first, *others), structure = jax.tree.flatten(state)
    return jax.tree.unflatten(structure, [first + h, *others])


def _sum(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)
