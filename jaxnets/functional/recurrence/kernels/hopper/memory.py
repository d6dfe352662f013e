"""Blocks of arrays in shared and global memory, and how they are read and written.

In registers a block is `(units, sequences)`, as the tensor cores return it. In shared
memory it is `(sequences, units)`, as in the arrays that are copied there.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.pallas import mosaic_gpu as plgpu

from jaxnets.functional.recurrence.kernels.hopper.tiles import Tiles


_SWIZZLE = 128


def shared(shape: tuple[int, ...], dtype: jax.typing.DTypeLike):
    """Return blocks in shared memory as the tensor cores and copies read them."""
    columns = _SWIZZLE // jnp.dtype(dtype).itemsize
    # Both classes are abstract by their annotations only.
    tiling: Any = plgpu.TilingTransform
    swizzle: Any = plgpu.SwizzleTransform
    transforms = (tiling((8, columns)), swizzle(_SWIZZLE))
    return plgpu.SMEM(shape, dtype, transforms=transforms)


def read(block) -> jax.Array:
    """Read a `(sequences, units)` block of shared memory as float32, transposed."""
    transposed = block.transpose((1, 0))
    value = plgpu.load(transposed, layout=plgpu.Layout.WGMMA_TRANSPOSED)
    return plgpu.layout_cast(value, plgpu.Layout.WGMMA).astype(jnp.float32)


def write(block, value: jax.Array) -> None:
    """Store `value (units, sequences)`, transposed, in a block of shared memory."""
    value = value.astype(block.dtype)
    value = plgpu.layout_cast(value, plgpu.Layout.WGMMA_TRANSPOSED)
    block.transpose((1, 0))[...] = value


def write_operand(block, value: jax.Array, tiles: Tiles) -> None:
    """Store `value` as an operand `(pieces * sequences, units)` of products."""
    first = value.astype(jnp.bfloat16)
    write(block.at[: tiles.rows], first)
    if tiles.pieces == 2:
        write(block.at[tiles.rows :], value - first.astype(jnp.float32))


def read_global(ref) -> jax.Array:
    """Read `(units, sequences)` from global memory."""
    return plgpu.load(ref, layout=plgpu.Layout.WGMMA, optimized=False)


def write_global(ref, value: jax.Array) -> None:
    """Store `(units, sequences)` in global memory."""
    if hasattr(plgpu, "store"):  # JAX 0.12
        plgpu.store(ref, value, optimized=False)
    else:
        ref[...] = value
