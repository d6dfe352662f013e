"""Arrays of all steps that a loop carries: reading the slot of a step, and writing."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


# The compiler computes what is behind a barrier once. Without one it reads and computes
# again wherever a value is used; after a step has written where it has read, that would
# take a copy of the array of all steps.
barrier = jax.lax.optimization_barrier


def read(array: jax.Array, t: jax.Array, axis: int) -> jax.Array:
    """Return step `t` of an array of all steps."""
    return jax.lax.dynamic_index_in_dim(
        array, t, axis, keepdims=False, allow_negative_indices=False
    )


def write(
    array: jax.Array, blocks: Sequence[jax.Array], t: jax.Array, axis: int
) -> jax.Array:
    """Write blocks of columns, side by side, into the slot of step `t`."""
    # With x64 a Python integer is wider than the counter, and all must be of one type.
    index = t.dtype.type
    column = 0
    for block in blocks:
        lead = (t, index(0)) if axis == 0 else (index(0), t)
        array = jax.lax.dynamic_update_slice(
            array,
            jnp.expand_dims(block, axis),
            (*lead, index(column)),
            allow_negative_indices=False,
        )
        column += block.shape[-1]
    return array


def write_each(
    arrays: Sequence[jax.Array],
    blocks: Sequence[Sequence[jax.Array]],
    t: jax.Array,
    axis: int,
) -> list[jax.Array]:
    """Write blocks into the slot of step `t` of several arrays."""
    return [write(*pair, t, axis) for pair in zip(arrays, blocks, strict=True)]
