"""Pooling options in canonical form, and the padding that they imply."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import max_dim, min_dim
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_switch, list_or_none
from jaxnets.functional.shared.sizes import Size, definitely, index_range
from jaxnets.functional.shared.windows import (
    Padding,
    Pairs,
    PerAxis,
    output_sizes,
    padded,
    padding_pairs,
    per_axis,
)
from jaxnets.typing import ArrayLike


class PoolWindows(NamedTuple):
    """Pooling options in canonical form: one entry per spatial axis.

    Attributes:
        sizes: Sizes of the input, before padding.
        window: Sizes of the window, before dilation.
        strides: Distances between windows.
        dilation: Distances between the elements of a window.
        pairs: Padding `(low, high)`.
        out: Numbers of windows.
    """

    sizes: tuple[Size, ...]
    window: tuple[Size, ...]
    strides: tuple[Size, ...]
    dilation: tuple[Size, ...]
    pairs: Pairs
    out: tuple[Size, ...]

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.sizes)

    @property
    def covered_sizes(self) -> tuple[Size, ...]:
        """Number of padded elements up to the end of the last window."""
        axes = zip(self.out, self.strides, self.window, self.dilation, strict=True)
        return tuple((o - 1) * s + d * (k - 1) + 1 for o, s, k, d in axes)

    @property
    def covering_pairs(self) -> Pairs:
        """The padding with which XLA computes `out` windows, for known sizes."""
        axes = zip(self.covered_sizes, self.sizes, self.pairs, strict=True)
        return tuple((low, max(end - size - low, 0)) for end, size, (low, _) in axes)

    @property
    def overlap(self) -> bool:
        """Whether two windows may span the same element."""
        spans = zip(self.window, self.dilation, strict=True)
        reaches = [d * (k - 1) + 1 for k, d in spans]
        return any(s < r for s, r in zip(self.strides, reaches, strict=True))


def pool_windows(
    x: Shaped[ArrayLike, "..."],
    window_shape: PerAxis,
    *,
    strides: PerAxis | None,
    padding: Padding,
    window_dilation: PerAxis,
    ceil_mode: bool,
) -> PoolWindows:
    """Parse the options of a pool over `x (*batch, *spatial, channels)`.

    Args:
        x: The array that is pooled; only its shape is read.
        window_shape: An int for `x.ndim - 2` spatial axes, or one int per axis.
        strides: None for the window.
        padding: As for `jaxnets.functional.shared.windows.padding_pairs`.
        window_dilation: An int, or one int per axis.
        ceil_mode: Whether a last window may reach past the padding. No effect on
            "SAME" and "SAME_LOWER".

    Raises:
        TypeError: If an option has a wrong type.
        ValueError: If an option has a wrong value, or the window does not fit into an
            axis.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.zeros((1, 7, 7, 3))
        >>> pool_windows(x, 2, strides=None, padding="VALID", window_dilation=1,
        ...              ceil_mode=True).out
        (4, 4)
    """
    sizes = spatial_sizes(x, window_shape, "window_shape")
    ndim = len(sizes)
    window = per_axis(window_shape, ndim, "window_shape")
    steps = window if strides is None else per_axis(strides, ndim, "strides")
    dilation = per_axis(window_dilation, ndim, "window_dilation")
    pairs = padding_pairs(
        padding, sizes=sizes, window=window, strides=steps, dilation=dilation
    )
    same = isinstance(padding, str) and padding.startswith("SAME")
    if not as_switch(ceil_mode, "ceil_mode") or same:
        out = output_sizes(sizes, pairs, window, steps, dilation)
        return PoolWindows(sizes, window, steps, dilation, pairs, out)
    axes = zip(sizes, pairs, window, steps, dilation, strict=True)
    out = tuple(_ceil_size(*options) for options in axes)
    if any(definitely(lambda n=n: n < 1) for n in out):
        raise ValueError(
            f"`ceil_mode` leaves {out} windows on the spatial axes of sizes {sizes}; "
            "wanted one or more on each. Pad more with `padding`, or use a smaller "
            "`window_shape` or `window_dilation`."
        )
    return PoolWindows(sizes, window, steps, dilation, pairs, out)


def spatial_sizes(
    x: Shaped[ArrayLike, "..."], option: Any, name: str, *, array: str = "x"
) -> tuple[Size, ...]:
    """Return the sizes of the spatial axes of `x (*batch, *spatial, channels)`.

    With an int as `option` there are `x.ndim - 2` spatial axes, with a sequence as many
    as it has entries. `name` and `array` are the caller's names of `option` and `x`.

    Raises:
        ValueError: If `x` has too few axes.

    Example:
        >>> spatial_sizes(np.zeros((2, 3, 8, 9, 1)), (2, 2), "window_shape")
        (8, 9)
    """
    shape = np.shape(x)
    entries = list_or_none(option)
    ndim = len(shape) - 2 if entries is None else len(entries)
    if ndim < 1 or len(shape) < ndim + 1:
        raise ValueError(
            f"`{array}` has shape {shape} and `{name}` is {option!r}; wanted "
            f"(*batch, *spatial, channels) with one int of `{name}` per spatial "
            "axis. An int stands for every axis between a first batch axis and the "
            f"channels: pass a sequence if `{array}` has no or several batch axes."
        )
    return shape[len(shape) - 1 - ndim : -1]


def padded_for_windows(
    x: Shaped[Array, "..."], windows: PoolWindows, mode: str, *, fill: Any
) -> Shaped[Array, "..."]:
    """Pad `x` for its windows; what only `ceil_mode` reaches is filled with `fill`.

    Elements after the last window are not cropped, since that would copy all others.
    """
    x = padded(x, windows.pairs, mode, fill=fill)
    for axis, size in enumerate(windows.covered_sizes, x.ndim - 1 - windows.ndim):
        x = resize_axis(x, axis, max_dim(size, x.shape[axis]), fill=fill)
    return x


def for_reduce_window(
    x: Shaped[Array, "..."], windows: PoolWindows
) -> Shaped[Array, "..."]:
    """Prepare the padded `x` for `reduce_window` without padding.

    Axes that have room for more windows than `out` are cropped. On other axes the
    elements after the last window remain, since a crop copies the whole array.
    """
    steps = zip(windows.covered_sizes, windows.strides, strict=True)
    for axis, (size, stride) in enumerate(steps, x.ndim - 1 - windows.ndim):
        if not definitely(lambda n=x.shape[axis], end=size + stride: n < end):
            x = resize_axis(x, axis, size)
    # On CPUs XLA fuses the padding into the reduction. On an axis of one element it
    # then reads this element in the gaps of a dilated window too. A barrier prevents
    # that.
    axes = zip(windows.sizes, windows.dilation, strict=True)
    misread = any(size == 1 and dilation > 1 for size, dilation in axes)
    return jax.lax.optimization_barrier(x) if misread else x


def resize_axis(
    x: Shaped[Array, "..."], axis: int, size: Size, *, fill: Any = 0
) -> Shaped[Array, "..."]:
    """Crop or pad the end of an axis so that it has `size` elements."""
    if x.shape[axis] == size:
        return x
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (0, size - x.shape[axis], 0)
    return jax.lax.pad(x, jnp.asarray(fill, x.dtype), config)


def element_counts(windows: PoolWindows, include_pad: bool) -> list[ArrayLike]:
    """Count the elements in each window, on each axis.

    The counts are NumPy arrays, or JAX arrays for an axis of symbolic size.

    The outer product of the counts is the number of elements in a window. What only
    `ceil_mode` reaches never counts; padding counts if `include_pad`.
    """
    counts = []
    for axis in range(windows.ndim):
        low, high = windows.pairs[axis]
        first = 0 if include_pad else low
        last = low + windows.sizes[axis] + (high if include_pad else 0)
        starts = windows.strides[axis] * index_range(windows.out[axis])
        offsets = windows.dilation[axis] * np.arange(windows.window[axis])
        indices = starts[:, None] + offsets[None, :]
        counts.append(((indices >= first) & (indices < last)).sum(axis=1))
    return counts


def _ceil_size(
    size: Size, pair: tuple[Size, Size], window: int, stride: int, dilation: int
) -> Size:
    """Return the number of windows on an axis with `ceil_mode`."""
    low, high = pair
    out = 1 - (dilation * (window - 1) + 1 - size - low - high) // stride
    # A window that starts after the last element would contain padding only. Symbolic
    # sizes cannot be compared, so this is computed without a comparison.
    after = (out - 1) * stride - (low + size) + 1
    return out - min_dim(max_dim(after, 0), 1)
