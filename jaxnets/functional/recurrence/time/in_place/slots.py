"""Arrays with a slot for each step, which a loop carries, reads and writes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


# XLA computes the argument of a barrier once. Without one it may read a slot again
# wherever the value is used. After the step has written to that slot, this would need a
# copy of the whole array.
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
    # All indices must have the dtype of `t`; with x64, Python integers have another.
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
