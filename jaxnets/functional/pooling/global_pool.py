"""Global pooling over all spatial axes."""

import math

import jax
import jax.numpy as jnp
from jax.core import max_dim
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, as_count, as_switch
from jaxnets.functional.pooling.dtypes import (
    check_divisible,
    check_ordered,
    check_summable,
)
from jaxnets.functional.pooling.implementations.maxima import first_max
from jaxnets.functional.shared.dtypes import accumulation_dtype, sum_dtype
from jaxnets.functional.shared.sizes import Size
from jaxnets.typing import ArrayLike


def global_max_pool(
    x: Shaped[ArrayLike, "..."],
    *,
    spatial_ndim: int | None = None,
    keepdims: bool = False,
) -> Shaped[Array, "..."]:
    """Take the maximum of each channel over all spatial axes.

    `y[b, c] = max over i of x[b, i, c]`, where `i` runs over all spatial axes. Among
    equal maxima the first in row-major order receives the whole cotangent, and the
    first NaN wins, as in `max_pool`; `jax.numpy.max` divides the cotangent among them.

    Args:
        x: Shape `(*B, *spatial, C)`. Real numbers, integers or booleans.
        spatial_ndim: Number of spatial axes, which come before the channels. None is
            all axes except the first and the last.
        keepdims: Whether to keep the spatial axes, with size 1.

    Returns:
        Shape `(*B, C)`, or `(*B, 1, ..., 1, C)` with `keepdims`; the dtype of `x`. If a
        spatial axis is empty, minus infinity or the smallest integer.

    Raises:
        TypeError: If `x` is complex, or `spatial_ndim` is not an int.
        ValueError: If `x` has too few axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import global_max_pool
        >>> x = jnp.arange(8.0).reshape(1, 2, 2, 2)
        >>> global_max_pool(x)
        Array([[6., 7.]], dtype=float32)

    Keras divides the cotangent among equal maxima. In PyTorch it is
    `AdaptiveMaxPool2d(1)`. Flax has no global pools.
    """
    x = as_array(x, "x")
    check_ordered(x)
    flat, shape = _flatten_spatial(x, spatial_ndim, keepdims)
    return first_max(flat, flat.ndim - 2).reshape(shape)


def global_avg_pool(
    x: Shaped[ArrayLike, "..."],
    *,
    spatial_ndim: int | None = None,
    keepdims: bool = False,
) -> Shaped[Array, "..."]:
    """Take the average of each channel over all spatial axes.

    `y[b, c] = (sum over i of x[b, i, c]) / P`, where `i` runs over the P positions of
    all spatial axes. 16-bit floats are summed in float32.

    Args:
        x: Shape `(*B, *spatial, C)`. Real or complex floating-point numbers.
        spatial_ndim: Number of spatial axes, which come before the channels. None is
            all axes except the first and the last.
        keepdims: Whether to keep the spatial axes, with size 1.

    Returns:
        Shape `(*B, C)`, or `(*B, 1, ..., 1, C)` with `keepdims`; the dtype of `x`. If a
        spatial axis is empty, 0.

    Raises:
        TypeError: If `x` holds integers or booleans, or `spatial_ndim` is not an int.
        ValueError: If `x` has too few axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import global_avg_pool
        >>> x = jnp.arange(8.0).reshape(1, 2, 2, 2)
        >>> global_avg_pool(x)
        Array([[3., 4.]], dtype=float32)

    Source: Lin, Chen and Yan 2014, "Network In Network", section 3.2.
    Keras allows one batch axis only. In PyTorch it is `AdaptiveAvgPool2d(1)`. Flax has
    no global pools.
    """
    x = as_array(x, "x")
    check_divisible(x)
    flat, shape = _flatten_spatial(x, spatial_ndim, keepdims)
    sums = jnp.sum(flat, axis=-2, dtype=accumulation_dtype(x.dtype))
    return (sums / max_dim(flat.shape[-2], 1)).astype(x.dtype).reshape(shape)


def global_sum_pool(
    x: Shaped[ArrayLike, "..."],
    *,
    spatial_ndim: int | None = None,
    keepdims: bool = False,
) -> Shaped[Array, "..."]:
    """Take the sum of each channel over all spatial axes.

    `y[b, c] = sum over i of x[b, i, c]`, where `i` runs over all spatial axes. 16-bit
    floats are summed in float32, integers of fewer than 32 bits in 32 bits.

    Args:
        x: Shape `(*B, *spatial, C)`. Any numbers, but no booleans.
        spatial_ndim: Number of spatial axes, which come before the channels. None is
            all axes except the first and the last.
        keepdims: Whether to keep the spatial axes, with size 1.

    Returns:
        Shape `(*B, C)`, or `(*B, 1, ..., 1, C)` with `keepdims`; the dtype of `x`, or
        int32 or uint32 if these are integers of fewer bits, as with `jax.numpy.sum`.

    Raises:
        TypeError: If `x` is boolean, or `spatial_ndim` is not an int.
        ValueError: If `x` has too few axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import global_sum_pool
        >>> x = jnp.arange(8.0).reshape(1, 2, 2, 2)
        >>> global_sum_pool(x, keepdims=True).shape
        (1, 1, 1, 2)

    Flax, Keras and PyTorch have no global sum pooling.
    """
    x = as_array(x, "x")
    check_summable(x)
    flat, shape = _flatten_spatial(x, spatial_ndim, keepdims)
    dtype = sum_dtype(x.dtype)
    sums = jnp.sum(flat, axis=-2, dtype=accumulation_dtype(dtype))
    return sums.astype(dtype).reshape(shape)


def _flatten_spatial(
    x: jax.Array, spatial_ndim: int | None, keepdims: bool
) -> tuple[jax.Array, tuple[Size, ...]]:
    """Return `x` with one flattened spatial axis, and the shape of the result."""
    if spatial_ndim is None:
        if x.ndim < 3:
            raise ValueError(
                f"`x` has shape {x.shape}; wanted a batch axis, spatial axes and "
                "channels. With several batch axes, or none, pass `spatial_ndim`."
            )
        spatial_ndim = x.ndim - 2
    ndim = as_count(spatial_ndim, "spatial_ndim")
    if x.ndim < ndim + 1:
        raise ValueError(
            f"`x` has shape {x.shape} and `spatial_ndim` is {ndim}; wanted {ndim} "
            f"spatial axes and channels: {ndim + 1} axes or more."
        )
    first = x.ndim - 1 - ndim
    batch, spatial, channels = x.shape[:first], x.shape[first:-1], x.shape[-1]
    ones = (1,) * ndim if as_switch(keepdims, "keepdims") else ()
    # The size is computed since -1 is ambiguous for an empty batch.
    flat = x.reshape((*batch, math.prod(spatial), channels))
    return flat, (*batch, *ones, channels)
