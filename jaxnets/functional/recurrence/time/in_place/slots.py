"""Arrays of all steps that a loop carries: reading the place of one, and writing it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


# What is held is there once. Without the barrier the compiler reads and computes again
# wherever it is used; and after a step has written where it has read, that would take a
# copy of the array of all steps.
hold = jax.lax.optimization_barrier


def read(array: jax.Array, t: jax.Array, axis: int) -> jax.Array:
    """Return step `t` of an array of all steps."""
    return jax.lax.dynamic_index_in_dim(
        array, t, axis, keepdims=False, allow_negative_indices=False
    )


def write(
    array: jax.Array, blocks: Sequence[jax.Array], t: jax.Array, axis: int
) -> jax.Array:
    """Put blocks of columns, side by side, in the place of step `t`."""
    # With x64 a Python integer is wider than the counter, and all must be of one type.
    index = t.dtype.type
    column = 0
    for block in blocks:
        places = (t, index(0)) if axis == 0 else (index(0), t)
        start = (*places, index(column))
        update = jnp.expand_dims(block, axis)
        array = jax.lax.dynamic_update_slice(
            array, update, start, allow_negative_indices=False
        )
        column += block.shape[-1]
    return array


def write_each(
    arrays: Sequence[jax.Array],
    blocks: Sequence[Sequence[jax.Array]],
    t: jax.Array,
    axis: int,
) -> list[jax.Array]:
    """Put blocks in the place of step `t` of several arrays."""
    return [write(*pair, t, axis) for pair in zip(arrays, blocks, strict=True)]
