"""Patches: what each window sees, laid out one after the other, and their sum back."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxnets.functional.pooling.options import PoolWindows, spatial_sizes
from jaxnets.functional.shared.arguments import as_array, list_or_none
from jaxnets.functional.shared.dtypes import accumulation_dtype, promoted_dtype
from jaxnets.functional.shared.windows import (
    Padding,
    PerAxis,
    fold_batch,
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
    dilation: PerAxis = 1,
) -> Shaped[Array, "..."]:
    """Lay out what each window sees of `x` ("im2col").

    On one spatial axis, with stride s, dilation d, window k and the padded input x:

        patches[b, t, i, c] = x[b, s * t + d * i - low, c]      for i < k

    so that `conv` is a matrix product: with `kernel (*window, C, F)`,
    `einsum("...ic,icf->...f", unfold(x, window), kernel.reshape(-1, C, F))`.

    Args:
        x: Shape (*B, *spatial, C): batch axes, spatial axes, channels. Any dtype.
        window_shape: Size of the window: an int for the `x.ndim - 2` axes between batch
            and channels, or one int per spatial axis.
        strides: Distance between windows.
        padding: "VALID", "SAME", "SAME_LOWER", "CAUSAL" (one spatial axis), an int, or
            one int or `(low, high)` pair per axis.
        padding_mode: What the padding holds, as in `conv`.
        dilation: Distance between the elements of a window.

    Returns:
        Shape (*B, *out, K, C), the dtype of `x`. The K = prod(window_shape) elements of
        each window are in row-major order.

    Raises:
        TypeError: If an option has a wrong type.
        ValueError: If an option has a wrong value, or an axis has no place for a
            window.

    Example:
        >>> import jax.numpy as jnp
        >>> unfold(jnp.arange(5)[:, None], (3,))[..., 0]
        Array([[0, 1, 2],
               [1, 2, 3],
               [2, 3, 4]], dtype=int32)

    It differs from PyTorch in layout (there `(B, C * K, prod(out))`), in any number of
    spatial axes and in padding; from `jax.lax.conv_general_dilated_patches`, which is a
    convolution with one-hot kernels, in speed, and in that channels come last.
    """
    x = as_array(x, "x")
    sizes = spatial_sizes(x, window_shape, "window_shape")
    windows = _windows(sizes, window_shape, strides, padding, dilation)
    folded, batch = fold_batch(x, windows.ndim, "x")
    # An element of several windows takes a sum of cotangents: in float32 for 16 bits.
    wide = folded.astype(accumulation_dtype(x.dtype))
    seen = padded(wide, windows.pairs, padding_mode)
    # Axis by axis: 7 + 7 slices for a window of 7 by 7.
    for axis, (k, s, d, out) in enumerate(_per_axis(windows), 1):
        last = (out - 1) * s + 1
        starts = range(0, k * d, d)
        taps = [jax.lax.slice_in_dim(seen, i, i + last, s, axis) for i in starts]
        seen = jnp.stack(taps, axis=-2)
    shape = (*batch, *windows.out, math.prod(windows.window), x.shape[-1])
    return seen.reshape(shape).astype(x.dtype)


def fold(
    patches: Shaped[ArrayLike, "..."],
    spatial_shape: PerAxis,
    window_shape: PerAxis,
    *,
    strides: PerAxis = 1,
    padding: Padding = "VALID",
    dilation: PerAxis = 1,
) -> Shaped[Array, "..."]:
    """Add up patches where their windows lie ("col2im"): the transpose of `unfold`.

    On one spatial axis, with stride s, dilation d and window k:

        y[b, p, c] = sum over t and i < k with s * t + d * i - low == p of
                     patches[b, t, i, c]

    so that `sum(unfold(x) * patches) == sum(x * fold(patches))` for equal options.
    What lies in the padding is dropped.

    Args:
        patches: Shape (*B, *out, K, C), as `unfold` returns them. Numbers.
        spatial_shape: Sizes of the spatial axes of the result, one int each.
        window_shape: Size of the window, an int or one per spatial axis.
        strides: Distance between windows.
        padding: As in `unfold`; it has held zeros.
        dilation: Distance between the elements of a window.

    Returns:
        Shape (*B, *spatial_shape, C), the dtype of `patches`; 16-bit numbers are summed
        in float32.

    Raises:
        TypeError: If an option has a wrong type, or `patches` holds no numbers.
        ValueError: If an option has a wrong value, or the patches are not those of
            `spatial_shape`.

    Example:
        >>> import jax.numpy as jnp
        >>> fold(jnp.ones((3, 3, 1)), (5,), (3,)).ravel()  # how many windows see it
        Array([1., 2., 3., 2., 1.], dtype=float32)

    It differs from PyTorch as `unfold` does. Flax and Keras have none.
    """
    patches = as_array(patches, "patches")
    dtype = promoted_dtype(patches)
    ndim = len(list_or_none(spatial_shape) or [spatial_shape])
    sizes = per_axis(spatial_shape, ndim, "spatial_shape")
    windows = _windows(sizes, window_shape, strides, padding, dilation)
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
        y = _overlapped(y, axis, windows)
    starts = [0, *(low for low, _ in windows.pairs), 0]
    ends = zip(starts, (y.shape[0], *sizes, channels), strict=True)
    limits = [start + n for start, n in ends]
    y = jax.lax.slice(y, starts, limits)
    return y.reshape((*batch, *sizes, channels)).astype(dtype)


def _windows(sizes, window_shape, strides, padding, dilation) -> PoolWindows:
    """Bring the options to canonical form."""
    ndim = len(sizes)
    window = per_axis(window_shape, ndim, "window_shape")
    strides = per_axis(strides, ndim, "strides")
    dilation = per_axis(dilation, ndim, "dilation")
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


def _overlapped(y: jax.Array, axis: int, windows: PoolWindows) -> jax.Array:
    """Add up the last axis of the window, before the channels, along its spatial axis.

    Each of its taps is put where it was read from, with gaps between windows.
    """
    k, s, d, out = list(_per_axis(windows))[axis]
    total = windows.sizes[axis] + sum(windows.pairs[axis])
    reach = (out - 1) * s + 1
    zero = jnp.zeros((), y.dtype)
    placed = []
    for i, tap in enumerate(jax.lax.split(y, [1] * k, axis=y.ndim - 2)):
        config = [(0, 0, 0)] * (y.ndim - 1)
        config[1 + axis] = (d * i, total - d * i - reach, s - 1)
        placed.append(jax.lax.pad(jnp.squeeze(tap, -2), zero, config))
    return sum(placed[1:], placed[0])
