"""Arrays with a slot for each step, which a loop carries, reads and writes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.shared.sharding import shard_like


# XLA computes the argument of a barrier once. Without one it may read a slot again
# wherever the value is used. After the step has written to that slot, this would need a
# copy of the whole array.
barrier = jax.lax.optimization_barrier


def zeros_for_steps(x: Any, width: int, dtype: Any) -> jax.Array:
    """Return zeros with the axes of `x`, which may be abstract, except for the last."""
    zeros = jnp.zeros((*x.shape[:-1], width), dtype)
    return shard_like(zeros, x, range(x.ndim - 1))


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
        start: list[Any] = [index(0)] * array.ndim
        start[axis], start[-1] = t, index(column)
        array = jax.lax.dynamic_update_slice(
            array, jnp.expand_dims(block, axis), start, allow_negative_indices=False
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
