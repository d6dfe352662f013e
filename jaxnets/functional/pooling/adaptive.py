"""Adaptive pooling, whose windows are given by the size of the output."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax.core import max_dim
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array
from jaxnets.functional.pooling.dtypes import (
    check_divisible,
    check_ordered,
    lowest,
    narrowed,
)
from jaxnets.functional.pooling.implementations.gathers import Intervals, interval_view
from jaxnets.functional.pooling.implementations.maxima import first_max
from jaxnets.functional.pooling.options import spatial_sizes
from jaxnets.functional.pooling.window import avg_pool, max_pool
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.sizes import Size, check_known, is_known
from jaxnets.functional.shared.windows import per_axis
from jaxnets.typing import ArrayLike


if TYPE_CHECKING:
    OutputShape = int | Sequence[int | None]
else:
    # As in `jaxnets.functional.shared.windows`, so that our own message is raised.
    OutputShape = Any


def adaptive_max_pool(
    x: Shaped[ArrayLike, "..."], output_shape: OutputShape
) -> Shaped[Array, "..."]:
    """Take the maximum of `x` in a given number of windows.

    `y[b, i, c] = max over j of x[b, j, c]` with `floor(i * n / m) <= j < ceil((i + 1) *
    n / m)`, for n elements and m windows of one spatial axis. The windows cover `x`.
    Unless n is a multiple of m they overlap, and some have one element more.

    Among equal maxima the first in row-major order of the window receives the whole
    cotangent, and the first NaN wins, as in `max_pool`.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Real numbers,
            integers or booleans.
        output_shape: Number of windows: an int for the `x.ndim - 2` axes between batch
            and channels, or one int per spatial axis. It may be larger than the axis;
            None leaves the axis as it is.

    Returns:
        Shape `(*B, *output_shape, C)`, the dtype of `x`.

    Raises:
        TypeError: If `x` is complex, or `output_shape` has a wrong type.
        ValueError: If `output_shape` has a wrong length or a number below 1, or an axis
            of symbolic size would have several windows.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import adaptive_max_pool
        >>> adaptive_max_pool(jnp.arange(7.0)[:, None], (3,)).ravel()
        Array([2., 4., 6.], dtype=float32)

    The windows are those of PyTorch and Keras, but not of Equinox. Flax has no adaptive
    pools.
    """
    x = as_array(x, "x")
    check_ordered(x)
    axes = _axes(x, output_shape)
    if _regular(axes):
        return max_pool(x, [size // windows for size, windows in axes.values()])
    y = x.astype(accumulation_dtype(x.dtype))
    for axis, (size, windows) in reversed(axes.items()):
        if size != windows:
            if windows == 1:
                y = jnp.expand_dims(first_max(y, axis), axis)
                continue
            intervals = _intervals(size, windows)
            view = interval_view(y, axis, intervals, lowest(y.dtype))
            y = first_max(view, axis + 1)
    return narrowed(y, x.dtype)


def adaptive_avg_pool(
    x: Shaped[ArrayLike, "..."], output_shape: OutputShape
) -> Shaped[Array, "..."]:
    """Take the average of `x` in a given number of windows.

    `y[b, i, c] = mean over j of x[b, j, c]` with `floor(i * n / m) <= j < ceil((i + 1)
    * n / m)`, for n elements and m windows of one spatial axis. The windows cover `x`.
    Unless n is a multiple of m they overlap, and some have one element more.

    16-bit floats are summed and divided in float32.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Real or
            complex floating-point numbers.
        output_shape: As for `adaptive_max_pool`.

    Returns:
        Shape `(*B, *output_shape, C)`, the dtype of `x`.

    Raises:
        TypeError: If `x` holds integers or booleans, or `output_shape` has a wrong
            type.
        ValueError: If `output_shape` has a wrong length or a number below 1, or an axis
            of symbolic size would have several windows.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import adaptive_avg_pool
        >>> adaptive_avg_pool(jnp.arange(7.0)[:, None], (3,)).ravel()
        Array([1., 3., 5.], dtype=float32)

    The windows are those of PyTorch and Keras, but not of Equinox. Flax has no adaptive
    pools.
    """
    x = as_array(x, "x")
    check_divisible(x)
    axes = _axes(x, output_shape)
    if _regular(axes):
        return avg_pool(x, [size // windows for size, windows in axes.values()])
    y = x.astype(accumulation_dtype(x.dtype))
    for axis, (size, windows) in axes.items():
        if size != windows:
            if windows == 1:
                y = jnp.sum(y, axis=axis, keepdims=True) / max_dim(size, 1)
                continue
            intervals = _intervals(size, windows)
            sums = jnp.sum(interval_view(y, axis, intervals), axis=axis + 1)
            shape = [1] * y.ndim
            shape[axis] = windows
            counts = np.maximum(intervals.sizes, 1).reshape(shape)
            y = sums / jnp.asarray(counts, y.dtype)
    return y.astype(x.dtype)


def _axes(x: Array, output_shape: Any) -> dict[int, tuple[Size, Size]]:
    """Return for each spatial axis of `x` its size and the number of its windows."""
    sizes = spatial_sizes(x, output_shape, "output_shape")
    first = x.ndim - 1 - len(sizes)
    numbers = per_axis(output_shape, len(sizes), "output_shape", optional=True)
    pairs = [
        (size, size if number is None else number)
        for size, number in zip(sizes, numbers, strict=True)
    ]
    divided = [0 if m in (1, n) else n for n, m in pairs]
    check_known(divided, "x", "to place more than one window")
    return dict(enumerate(pairs, first))


def _regular(axes: dict[int, tuple[Size, Size]]) -> bool:
    """Return whether the windows of each axis have one size and do not overlap."""
    return all(
        is_known(size) and size and size % windows == 0
        for size, windows in axes.values()
    )


def _intervals(size: int, windows: int) -> Intervals:
    """Return the windows of an axis."""
    starts = [i * size // windows for i in range(windows)]
    ends = [-(-(i + 1) * size // windows) for i in range(windows)]
    return Intervals(tuple(starts), tuple(ends))
