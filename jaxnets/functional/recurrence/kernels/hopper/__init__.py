"""Persistent kernels for NVIDIA's Hopper GPUs, with Pallas' Mosaic GPU backend."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.kernels.hopper.backward_kernel import backward_kernel
from jaxnets.functional.recurrence.kernels.hopper.forward_kernel import forward_kernel
from jaxnets.functional.recurrence.kernels.hopper.tiles import Tiles, choose


def forward(
    cell: str,
    from_x: jax.Array,
    w_hh: jax.Array,
    b_h: jax.Array | None,
    state: tuple[jax.Array, ...],
    codes: jax.Array | None,
    *,
    reverse: bool,
    interpret: Any = False,
) -> tuple[jax.Array, jax.Array | None, tuple[jax.Array, ...]]:
    """Run a cell over all steps with one launch."""
    batch, hidden = from_x.shape[1], w_hh.shape[0]
    tiles = _tiles(cell, batch, hidden, from_x.dtype, interpret, backward=False)
    arrays = (from_x, w_hh, b_h, state, codes)
    return forward_kernel(cell, tiles, *arrays, reverse=reverse, interpret=interpret)


def backward(
    cell: str,
    pre: tuple[jax.Array, ...],
    w_hh: jax.Array,
    before: tuple[jax.Array, ...],
    codes: jax.Array | None,
    ct_ys: jax.Array,
    ct_final: tuple[jax.Array, ...],
    *,
    reverse: bool,
    interpret: Any = False,
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...], tuple[jax.Array, ...] | None]:
    """Walk back over all steps with one launch."""
    batch, hidden = ct_ys.shape[1], w_hh.shape[0]
    tiles = _tiles(cell, batch, hidden, w_hh.dtype, interpret, backward=True)
    arrays = (pre, w_hh, before, codes, ct_ys, ct_final)
    return backward_kernel(cell, tiles, *arrays, reverse=reverse, interpret=interpret)


def fits(
    cell: str, batch: int, hidden: int, dtype: jax.typing.DTypeLike, kind: str
) -> str | None:
    """Return why the kernels cannot run, or None if they can.

    Args:
        cell: The cell.
        batch: The number of sequences.
        hidden: The number of units.
        dtype: The dtype of the inputs and weights.
        kind: The device kind, as `jax.Device.device_kind` has it.
    """
    if not any(name in kind for name in ("H100", "H200", "GH200")):
        return f"is for GPUs of the Hopper generation, not for {kind}"
    if jnp.dtype(dtype) not in (jnp.float32, jnp.bfloat16):
        return f"supports float32 and bfloat16 only, not {jnp.dtype(dtype)}"
    for backward in (False, True):
        tiles = choose(cell, batch, hidden, dtype, backward=backward)
        if isinstance(tiles, str):
            return tiles
    return None


def _tiles(
    cell: str, batch: int, hidden: int, dtype: Any, interpret: Any, *, backward: bool
) -> Tiles:
    tiles = choose(cell, batch, hidden, dtype, backward=backward)
    if isinstance(tiles, str):
        raise ValueError(tiles)
    # The interpreter multiplies only what is in shared memory.
    return tiles._replace(resident=0) if interpret else tiles
