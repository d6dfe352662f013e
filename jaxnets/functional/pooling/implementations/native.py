"""Pools by XLA's own reduction over windows and the transpose of it.

The compilers for accelerators turn each of them into one pass. The transpose of a sum
is again a reduction over windows. That of a maximum is `select_and_scatter`, in
`first_maxima`.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.functional.pooling.dtypes import narrowed
from jaxnets.functional.pooling.implementations.first_maxima import (
    add_to_first_maxima,
    in_layout_of_windows,
)
from jaxnets.functional.pooling.implementations.maxima import (
    maxima_by_reduce_window,
    maxima_by_shifts,
)
from jaxnets.functional.pooling.implementations.sums import sums_by_reshape
from jaxnets.functional.pooling.options import (
    PoolWindows,
    for_reduce_window,
    padded_for_windows,
)
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.linear_maps import linear_map
from jaxnets.functional.shared.sizes import definitely, is_known
from jaxnets.functional.shared.windows import Pairs, padded
from jaxnets.platforms import run_by_platform


# The rows of a TPU's tile of 16-bit numbers.
_ROWS_OF_A_TILE = 16


def native_sums(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums over windows by one `jax.lax.reduce_window`."""
    pairs: Pairs = ((0, 0),) * windows.ndim
    if is_known(*windows.sizes) and set(windows.dilation) == {1}:
        # Padding that is part of the reduction takes no pass in its transpose.
        x, windows = _without_modes(x, windows, mode)
        pairs = windows.covering_pairs
    else:
        x = for_reduce_window(padded_for_windows(x, windows, mode, fill=0), windows)
    # A TPU stores the two last axes of an array in tiles. If windows lie along other
    # axes, XLA fuses conversions and divisions before and after the reduction with it.
    if not windows.overlap or not _channels_last(x, windows):
        return _reduced(x, windows, pairs, 1)
    spatial_first = {"cpu": False, "cuda": False, "rocm": False, "tpu": True}

    def run(spatial_first: bool) -> jax.Array:
        if not spatial_first:
            return _reduced(x, windows, pairs, 1)
        moved = jnp.moveaxis(x, 0, windows.ndim)
        return jnp.moveaxis(_reduced(moved, windows, pairs, 0), windows.ndim, 0)

    return run_by_platform(spatial_first, run, {})


def native_sums_apart(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums, in `accumulation_dtype`, over windows that do not overlap.

    Each element is in one window at most. So the transpose adds nothing up, and runs in
    the dtype of `x`: its result is the same, and it moves fewer bytes. Where the
    windows divide the tiles of a TPU, it is a broadcast.
    """
    sums = functools.partial(native_sums, windows=windows, mode="zeros")
    spread = sums
    if _in_tiles(windows) and _channels_last(x, windows):
        spread = functools.partial(sums_by_reshape, windows=windows, mode="zeros")

    def forward(x: jax.Array) -> jax.Array:
        return sums(x.astype(accumulation_dtype(x.dtype)))

    def transpose(cotangent: jax.Array) -> jax.Array:
        return jax.linear_transpose(spread, like)(cotangent.astype(like.dtype))[0]

    like = jax.typeof(x)
    return linear_map(forward, transpose, x)


def native_averages(
    x: Shaped[Array, "batch *spatial channels"],
    windows: PoolWindows,
    mode: str,
    divisor: float,
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums of 16-bit floats over windows, divided by a number.

    If a TPU has to copy the array first, the transpose divides after it adds up: then
    XLA converts and divides in the kernels that add.
    """
    sums = functools.partial(native_sums, windows=windows, mode=mode)
    wide = accumulation_dtype(x.dtype)
    if _channels_last(x, windows):
        return quotients(sums(x.astype(wide)), divisor, x.dtype)

    def forward(x: jax.Array) -> jax.Array:
        return quotients(sums(x.astype(wide)), divisor, x.dtype)

    def transpose(cotangent: jax.Array) -> jax.Array:
        added = jax.linear_transpose(sums, like)(cotangent.astype(wide))[0]
        return quotients(added, divisor, x.dtype)

    like = jax.typeof(x).update(dtype=wide)
    return linear_map(forward, transpose, x)


def quotients(
    sums: Shaped[Array, "..."], divisor: float, dtype: Any
) -> Shaped[Array, "..."]:
    """Return `sums / divisor` in another dtype.

    XLA rounds sums to bfloat16 in the kernel that adds them up, if that comes first.
    Division by a power of two is exact, so it may come after; bfloat16 has the range of
    float32.
    """
    if jnp.dtype(dtype) == jnp.bfloat16 and abs(math.frexp(divisor)[0]) == 0.5:
        return sums.astype(dtype) / divisor
    return (sums / divisor).astype(dtype)


def _in_tiles(windows: PoolWindows) -> bool:
    """Return whether the last spatial axis fills a TPU's tiles, and windows divide it.

    Otherwise a TPU has another axis before the channels.
    """
    divide = all(_ROWS_OF_A_TILE // 2 % k == 0 for k in windows.window)
    filled = definitely(lambda: windows.sizes[-1] % _ROWS_OF_A_TILE == 0)
    return windows.window == windows.strides and divide and filled


def _channels_last(x: jax.Array, windows: PoolWindows) -> bool:
    """Return whether a TPU has the channels last in memory.

    With fewer channels than elements on the last spatial axis, XLA prefers to have that
    axis last, and would copy the array.
    """
    known = is_known(x.shape[-1], windows.sizes[-1])
    return known and x.shape[-1] >= windows.sizes[-1]


def _reduced(x: jax.Array, windows: PoolWindows, pairs: Pairs, first: int) -> jax.Array:
    """Return the sums over windows along the spatial axes, which begin with `first`."""
    before, after = (1,) * first, (1,) * (x.ndim - first - windows.ndim)
    return jax.lax.reduce_window(
        x,
        np.zeros((), x.dtype)[()],
        jax.lax.add,
        (*before, *windows.window, *after),
        (*before, *windows.strides, *after),
        (*((0, 0) for _ in before), *pairs, *((0, 0) for _ in after)),
        window_dilation=(*before, *windows.dilation, *after),
    )


def native_maxima(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the maxima over windows, whose transpose is `select_and_scatter`.

    The windows are not dilated, and the spatial sizes are known. The result has the
    dtype of `x`, and so has its cotangent.
    """
    x, windows = _without_modes(x, windows, mode)
    return _maxima(x, windows)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _maxima(x: jax.Array, windows: PoolWindows) -> jax.Array:
    return narrowed(maxima_by_reduce_window(x, windows, "zeros"), x.dtype)


@_maxima.defjvp
def _maxima_jvp(windows, primals, tangents):
    (x,), (tangent,) = primals, tangents

    def select(tangent, x):
        by_shifts = functools.partial(maxima_by_shifts, windows=windows, mode="zeros")
        return jax.jvp(by_shifts, (x,), (tangent,))[1].astype(x.dtype)

    scatter = functools.partial(add_to_first_maxima, windows=windows)
    # Which element is selected is constant wherever the maximum has a derivative.
    constant = jax.lax.stop_gradient(x)
    selected = linear_map(select, scatter, tangent, constant)
    # The transpose reads the same copy.
    return _maxima(in_layout_of_windows(x, windows), windows), selected


def _without_modes(
    x: jax.Array, windows: PoolWindows, mode: str
) -> tuple[jax.Array, PoolWindows]:
    """Return `x` with the padding that consists of its elements, as a part of `x`."""
    if mode == "zeros":
        return x, windows
    x = for_reduce_window(padded(x, windows.pairs, mode), windows)
    pairs = ((0, 0),) * windows.ndim
    return x, windows._replace(sizes=x.shape[1:-1], pairs=pairs)
