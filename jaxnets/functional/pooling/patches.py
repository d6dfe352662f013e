"""Extraction of the patches of windows, and its transpose."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, list_or_none
from jaxnets.functional.pooling.options import PoolWindows, spatial_sizes
from jaxnets.functional.shared.dtypes import (
    accumulation_dtype,
    promoted_dtype,
    sum_dtype,
)
from jaxnets.functional.shared.windows import (
    Padding,
    PerAxis,
    flatten_batch,
    output_sizes,
    padded,
    padding_pairs,
    per_axis,
)
from jaxnets.typing import ArrayLike


def unfold(
    x: Shaped[ArrayLike, "..."],
    window_shape: PerAxis,
    *,
    strides: PerAxis = 1,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    window_dilation: PerAxis = 1,
) -> Shaped[Array, "..."]:
    """Return the elements of each window of `x` ("im2col").

    On one spatial axis, with stride s, dilation d, window k and the padded input x:

        patches[b, t, i, c] = x[b, s * t + d * i - low, c]      for i < k

    So `conv` with the same options and `kernel (*window, C, F)` is a matrix product:
    `einsum("...ic,icf->...f", unfold(x, window), kernel.reshape(-1, C, F))`.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Any dtype.
        window_shape: Size of the window: an int for the `x.ndim - 2` axes between batch
            and channels, or one int per spatial axis.
        strides: Distance between windows.
        padding: "VALID", "SAME", "SAME_LOWER", "CAUSAL" (one spatial axis), an int, or
            an int or `(low, high)` pair per axis.
        padding_mode: Values of the padding, as in `conv`.
        window_dilation: Distance between the elements of a window.

    Returns:
        Shape `(*B, *out, K, C)`, the dtype of `x`. The K = prod(window_shape) elements
        of each window are in row-major order.

    Raises:
        TypeError: If an option has a wrong type.
        ValueError: If an option has a wrong value, or the window does not fit into an
            axis.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import unfold
        >>> unfold(jnp.arange(5)[:, None], (3,))[..., 0]
        Array([[0, 1, 2],
               [1, 2, 3],
               [2, 3, 4]], dtype=int32)

    In PyTorch the result is `(B, C * K, prod(out))`, there are two spatial axes, and
    padding is symmetric. `jax.lax.conv_general_dilated_patches` is a convolution with
    one-hot kernels, and returns patches with the channels before the window.
    """
    x = as_array(x, "x")
    sizes = spatial_sizes(x, window_shape, "window_shape")
    windows = _windows(sizes, window_shape, strides, padding, window_dilation)
    flat, batch = flatten_batch(x, windows.ndim, "x")
    # The cotangents of an element that is in several windows are added in this dtype.
    wide = flat.astype(accumulation_dtype(x.dtype))
    patches = padded(wide, windows.pairs, padding_mode)
    # Axis by axis: 7 + 7 slices for a window of 7 by 7.
    for axis, (k, s, d, out) in enumerate(_per_axis(windows), 1):
        span = (out - 1) * s + 1
        starts = range(0, k * d, d)
        slices = [jax.lax.slice_in_dim(patches, i, i + span, s, axis) for i in starts]
        patches = jnp.stack(slices, axis=-2)
    shape = (*batch, *windows.out, math.prod(windows.window), x.shape[-1])
    return patches.reshape(shape).astype(x.dtype)


def fold(
    patches: Shaped[ArrayLike, "..."],
    spatial_shape: PerAxis,
    window_shape: PerAxis,
    *,
    strides: PerAxis = 1,
    padding: Padding = "VALID",
    window_dilation: PerAxis = 1,
) -> Shaped[Array, "..."]:
    """Add patches at the positions of their windows ("col2im"): transpose `unfold`.

    On one spatial axis, with stride s, dilation d and window k:

        y[b, p, c] = sum over t and i < k with s * t + d * i - low == p of
                     patches[b, t, i, c]

    so that `sum(unfold(x) * patches) == sum(x * fold(patches))` for equal options.
    Elements in the padding are dropped.

    Args:
        patches: Shape `(*B, *out, K, C)`, as `unfold` returns them, of numbers.
        spatial_shape: Sizes of the spatial axes of the result, one int each.
        window_shape: Size of the window: an int, or one int per spatial axis.
        strides: Distance between windows.
        padding: As in `unfold` with `padding_mode="zeros"`.
        window_dilation: Distance between the elements of a window.

    Returns:
        Shape `(*B, *spatial_shape, C)`, the dtype of `patches`; int32 or uint32 if
        these are integers of fewer bits. 16-bit floats are summed in float32.

    Raises:
        TypeError: If an option has a wrong type, or `patches` does not hold numbers.
        ValueError: If an option has a wrong value, or the shape of `patches` is not
            that of `unfold` for `spatial_shape`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import fold
        >>> fold(jnp.ones((3, 3, 1)), (5,), (3,)).ravel()  # number of windows
        Array([1., 2., 3., 2., 1.], dtype=float32)

    PyTorch differs as in `unfold`. Flax and Keras have no such function.
    """
    patches = as_array(patches, "patches")
    dtype = sum_dtype(promoted_dtype(patches))
    ndim = len(list_or_none(spatial_shape) or [spatial_shape])
    sizes = per_axis(spatial_shape, ndim, "spatial_shape")
    windows = _windows(sizes, window_shape, strides, padding, window_dilation)
    first = patches.ndim - ndim - 2
    wanted = (*windows.out, math.prod(windows.window))
    if first < 0 or patches.shape[first:-1] != wanted:
        raise ValueError(
            f"`patches` has shape {patches.shape}; wanted (*batch, "
            f"{', '.join(map(str, wanted))}, channels) for `spatial_shape` "
            f"{sizes} and these windows, as `unfold` returns them."
        )
    batch, channels = patches.shape[:first], patches.shape[-1]
    wide = patches.astype(accumulation_dtype(dtype))
    shape = (math.prod(batch), *windows.out, *windows.window, channels)
    y = wide.reshape(shape)
    for axis in reversed(range(ndim)):
        y = _overlap_add(y, axis, windows)
    starts = [0, *(low for low, _ in windows.pairs), 0]
    ends = zip(starts, (y.shape[0], *sizes, channels), strict=True)
    limits = [start + n for start, n in ends]
    y = jax.lax.slice(y, starts, limits)
    return y.reshape((*batch, *sizes, channels)).astype(dtype)


def _windows(sizes, window_shape, strides, padding, window_dilation) -> PoolWindows:
    """Return the options in canonical form."""
    ndim = len(sizes)
    window = per_axis(window_shape, ndim, "window_shape")
    strides = per_axis(strides, ndim, "strides")
    dilation = per_axis(window_dilation, ndim, "window_dilation")
    pairs = padding_pairs(
        padding, sizes=sizes, window=window, strides=strides, dilation=dilation
    )
    out = output_sizes(sizes, pairs, window, strides, dilation)
    return PoolWindows(sizes, window, strides, dilation, pairs, out)


def _per_axis(windows: PoolWindows):
    """Yield the window, stride, dilation and number of windows of each axis."""
    return zip(
        windows.window, windows.strides, windows.dilation, windows.out, strict=True
    )


def _overlap_add(y: jax.Array, axis: int, windows: PoolWindows) -> jax.Array:
    """Add up the last axis of the window, before the channels, along its spatial axis.

    The slice of each window element is padded to where it was read from, with gaps
    between windows.
    """
    k, s, d, out = list(_per_axis(windows))[axis]
    total = windows.sizes[axis] + sum(windows.pairs[axis])
    reach = (out - 1) * s + 1
    zero = jnp.zeros((), y.dtype)
    terms = []
    for i, values in enumerate(jax.lax.split(y, [1] * k, axis=y.ndim - 2)):
        config = [(0, 0, 0)] * (y.ndim - 1)
        config[1 + axis] = (d * i, total - d * i - reach, s - 1)
        terms.append(jax.lax.pad(jnp.squeeze(values, -2), zero, config))
    return sum(terms[1:], terms[0])
