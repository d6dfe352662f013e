"""Arrays of all steps that a loop carries: reading the place of one, and writing it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Walk(NamedTuple):
    """How the loops walk through `x`.

    Attributes:
        axis: The time axis, 0 or 1 of three.
        reverse: Whether the last step is computed first.
        unroll: Steps in one iteration of a compiled loop.
    """

    axis: int
    reverse: bool
    unroll: int


# A step reads a place and writes to it. Without the barrier the compiler may read it
# again after the writing, for which it would copy the whole array in every step.
hold = jax.lax.optimization_barrier


def read(array: jax.Array, t: jax.Array, walk: Walk) -> jax.Array:
    """Return step `t` of an array of all steps."""
    return jax.lax.dynamic_index_in_dim(
        array, t, walk.axis, keepdims=False, allow_negative_indices=False
    )


def write(
    array: jax.Array, blocks: Sequence[jax.Array], t: jax.Array, walk: Walk
) -> jax.Array:
    """Put blocks of columns, side by side, in the place of step `t`."""
    # With x64 a Python integer is wider than the counter, and all must be of one type.
    index = t.dtype.type
    column = 0
    for block in blocks:
        places = (t, index(0)) if walk.axis == 0 else (index(0), t)
        start = (*places, index(column))
        update = jnp.expand_dims(block, walk.axis)
        array = jax.lax.dynamic_update_slice(
            array, update, start, allow_negative_indices=False
        )
        column += block.shape[-1]
    return array


def write_each(
    arrays: Sequence[jax.Array],
    blocks: Sequence[Sequence[jax.Array]],
    t: jax.Array,
    walk: Walk,
) -> list[jax.Array]:
    """Put blocks in the place of step `t` of several arrays."""
    return [write(*pair, t, walk) for pair in zip(arrays, blocks, strict=True)]
