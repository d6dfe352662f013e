"""Persistent kernels for NVIDIA's Hopper GPUs, with Pallas' Mosaic GPU backend."""

from typing import Any

import jax

from jaxnets.functional.recurrence.kernels.hopper_backward import backward_kernel
from jaxnets.functional.recurrence.kernels.hopper_forward import forward_kernel
from jaxnets.functional.recurrence.kernels.hopper_tiles import choose


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
    tiles = choose(cell, from_x.shape[1], w_hh.shape[0], from_x.dtype, backward=False)
    if isinstance(tiles, str):
        raise ValueError(tiles)
    return forward_kernel(
        cell,
        tiles,
        from_x,
        w_hh,
        b_h,
        state,
        codes,
        reverse=reverse,
        interpret=interpret,
    )


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
) -> tuple[
    tuple[jax.Array, ...], tuple[jax.Array, ...], tuple[jax.Array, ...] | None
]:
    tiles = choose(cell, ct_ys.shape[1], w_hh.shape[0], w_hh.dtype, backward=True)
    if isinstance(tiles, str):
        raise ValueError(tiles)
    arrays = (pre, w_hh, before, codes, ct_ys, ct_final)
    return backward_kernel(cell, tiles, *arrays, reverse=reverse, interpret=interpret)
