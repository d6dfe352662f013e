"""The loops of the in-place scan, forward, and what they leave for the way back.

Arguments and results have time on the axis `Walk.axis`; all else has it first. Each
loop runs over a stretch of time. The products of a stretch, before its loop on the way
forward and after it on the way back, need nothing of the other loops, so they run
beside these: on a CPU, XLA computes a loop step by step and most of a step on one core.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import (
    Cell,
    Part,
    Weights,
    input_share,
    product,
    projects_all_steps_at_once,
    spread,
    totals,
)
from jaxnets.functional.recurrence.custom_step import entered, left
from jaxnets.functional.recurrence.time.in_place.chunks import (
    Stretch,
    Walk,
    part_of,
    scan_stretch,
    stretches,
)
from jaxnets.functional.recurrence.time.in_place.slots import (
    hold,
    read,
    write,
    write_each,
)
from jaxnets.functional.recurrence.time.options import Masks


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
        ys: The outputs, which are the first array of each state, as `x` lies.
        others: The other arrays of each state.
        places: Of each stretch, for each part of the pre-activations what the gates
            left in its place.
    """

    ys: jax.Array
    others: list[jax.Array]
    places: list[list[jax.Array]]


def forward_pass(
    cell: Cell, walk: Walk, inputs: Inputs, *, keeps: bool
) -> tuple[Any, Kept]:
    """Return the final state and `ys`; with `keeps`, all of `Kept`."""
    weights, _, state, x, _ = inputs
    at_once = keeps or projects_all_steps_at_once()
    h, *rest = jax.tree.leaves(state)
    time, rows = x.shape[walk.axis], x.shape[1 - walk.axis]
    ys = jnp.zeros((*x.shape[:2], h.shape[-1]), h.dtype)
    others = [jnp.zeros((time, rows, a.shape[-1]), a.dtype) for a in rest if keeps]
    arrays, kept = (ys, others), []
    for stretch in stretches(walk, time) if keeps else [Stretch(0, time)]:
        places = []
        if at_once:
            own = part_of(x, stretch, walk.axis)
            places = _input_products(cell, weights, own)
        step = _forward_step(cell, walk, inputs, stretch, places, keeps=keeps)
        carry = state, arrays, places if keeps else []
        (state, arrays, places), _ = scan_stretch(
            step, carry, inputs.masks, stretch, walk, descending=walk.reverse
        )
        kept.append(places)
    ys, others = arrays
    return state, Kept(ys, others, kept)


def _forward_step(
    cell: Cell,
    walk: Walk,
    inputs: Inputs,
    stretch: Stretch,
    products: Sequence[jax.Array],
    *,
    keeps: bool,
) -> Callable[[Any, jax.Array, Masks], tuple[Any, dict[str, Any]]]:
    """Return a step of a stretch, whose input `products` are known if there are any."""
    weights, initial, _, x, _ = inputs

    def step(carry, t, masks_t):
        state, (ys, others), places = carry
        start = entered(masks_t, initial, state)
        if products:
            own = [read(a, t - stretch.start, 0) for a in places or products]
            shares = _with_bias(cell, weights, own)
        else:
            from_x = input_share(weights, read(x, t, walk.axis))
            shares = [None if p.x is None else from_x[..., p.x] for p in cell.parts]
        parts = totals(cell, shares, jax.tree.leaves(start)[0], weights)
        gates, after = cell.gates.forward(parts, start, hold if keeps else _let)
        y_t = jax.tree.leaves(after)[0]
        state, y_t = left(masks_t, state, after, y_t)
        ys = write(ys, [y_t], t, walk.axis)
        if keeps:
            blocks = [[array] for array in jax.tree.leaves(state)[1:]]
            others = write_each(others, blocks, t, 0)
            places = write_each(places, gates, t - stretch.start, 0)
        return (state, (ys, others), places), {}

    return step


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


def _let(arrays: Any) -> Any:
    return arrays
