"""Max pooling that returns the indices of the maxima, and its inverse.

The options are those of `jaxnets.functional.pooling.window`.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, list_or_none
from jaxnets.functional.pooling.dtypes import check_ordered, narrowed
from jaxnets.functional.pooling.implementations.maxima import maxima_with_indices
from jaxnets.functional.pooling.options import pool_windows, spatial_sizes
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.linear_maps import linear_map
from jaxnets.functional.shared.sharding import (
    call_with_auto_axes,
    match_varying_axes,
    partition_spec,
)
from jaxnets.functional.shared.sizes import Size, check_known, definitely
from jaxnets.functional.shared.windows import (
    Padding,
    PerAxis,
    flatten_batch,
    per_axis,
    restore_batch,
)
from jaxnets.typing import ArrayLike


def max_pool_with_indices(
    x: Shaped[ArrayLike, "..."],
    window_shape: PerAxis,
    *,
    strides: PerAxis | None = None,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    window_dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> tuple[Shaped[Array, "..."], Shaped[Array, "..."]]:
    """Take the maximum of `x` in each window, and return its index too.

    `y` is `max_pool(x)`, with the same derivatives, and
    `y[b, i, c] = x[b].reshape(-1, C)[indices[b, i, c], c]`.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Real numbers,
            integers or booleans.
        window_shape: Size of the window.
        strides: Distance between windows; None for `window_shape`.
        padding: Padding of the spatial axes.
        padding_mode: Values of the padding. Where it repeats elements of `x`, the
            indices are those of these elements.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach beyond the padding.

    Returns:
        `(y, indices)`, both of shape `(*B, *out, C)`. `y` has the dtype of `x`.
        `indices` are int32: for each batch element and channel they count in the
        flattened (row-major) spatial axes of `x`. Among equal maxima, and among several
        NaNs, it is the index of the first in row-major order of the window; it is -1
        for an empty window.

    Raises:
        TypeError: If `x` is complex, or an option has a wrong type.
        ValueError: If an option has a wrong value, the window does not fit into an
            axis, or the spatial axes have more elements than int32 can count.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import max_pool_with_indices
        >>> x = jnp.array([[1.0, 2.0, 0.0, 3.0], [0.0, 0.0, 9.0, 0.0]])
        >>> y, indices = max_pool_with_indices(x[..., None], (2, 2))
        >>> y.ravel(), indices.ravel()
        (Array([2., 9.], dtype=float32), Array([1, 6], dtype=int32))

    PyTorch's `return_indices` has channels first, no "SAME", no one-sided padding, no
    padding modes, and int64 indices. Flax and Keras have no such function.
    """
    x = as_array(x, "x")
    check_ordered(x)
    windows = pool_windows(
        x,
        window_shape,
        strides=strides,
        padding=padding,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    _check_size(windows.sizes, "x")
    flat, batch = flatten_batch(x, windows.ndim, "x")
    wide = flat.astype(accumulation_dtype(x.dtype))
    y, indices = maxima_with_indices(wide, windows, padding_mode)
    return restore_batch(narrowed(y, x.dtype), batch), restore_batch(indices, batch)


def max_unpool(
    y: Shaped[ArrayLike, "..."],
    indices: Shaped[ArrayLike, "..."],
    spatial_shape: PerAxis,
) -> Shaped[Array, "..."]:
    """Write each element of `y` to its index in an array of zeros.

    `out[b].reshape(-1, C)[indices[b, i, c], c] = y[b, i, c]`, which is the inverse of
    `max_pool_with_indices`, except that all other elements are zero.

    With overlapping windows an index may occur several times, usually with equal
    values. Then the last in row-major order is written. In the derivative each of them
    receives the full cotangent: `dy[b, i, c]` is the cotangent of `out` at its index.
    Forward mode is the exact transpose of this, a sum over equal indices.

    Args:
        y: Shape `(*B, *out, C)`, any dtype.
        indices: The shape of `y`, any integer dtype. For each batch element and channel
            an index counts in the flattened (row-major) spatial axes of the result. An
            element with index -1 is dropped.
        spatial_shape: Sizes of the spatial axes of the result: an int for `y.ndim - 2`
            axes between batch and channels, or one int per axis.

    Returns:
        Shape `(*B, *spatial_shape, C)`, the dtype of `y`.

    Raises:
        TypeError: If `indices` does not hold integers, or `spatial_shape` is neither an
            int nor a sequence of ints.
        ValueError: If the shapes of `y` and `indices` differ, an index is out of
            range, or a spatial size is symbolic. Under `jax.jit` and other
            transformations the values of `indices` are unknown, and elements whose
            index is out of range are dropped.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import max_unpool
        >>> y, indices = jnp.array([[2.0], [9.0]]), jnp.array([[1], [2]])
        >>> max_unpool(y, indices, (4,)).ravel()
        Array([0., 2., 9., 0.], dtype=float32)

    Source: Zeiler, Taylor and Fergus 2011, "Adaptive Deconvolutional Networks for Mid
    and High Level Feature Learning", section 3.1 ("switches"). PyTorch has channels
    first, no index -1, and a default shape. Flax and Keras have no such function.
    """
    y = as_array(y, "y")
    if not isinstance(indices, jax.Array):
        # Checked as a NumPy array, since JAX may have no 64-bit integers.
        indices = np.asarray(indices)
    _check_indices(y, indices)
    ndim = len(spatial_sizes(y, spatial_shape, "spatial_shape", array="y"))
    check_known(list_or_none(spatial_shape) or (), "spatial_shape", "for an index")
    check_known(y.shape[y.ndim - 1 - ndim : -1], "y", "to write elements in order")
    sizes = per_axis(spatial_shape, ndim, "spatial_shape")
    _check_size(sizes, "spatial_shape")
    count = math.prod(sizes)
    _check_range(indices, sizes)
    if isinstance(indices, np.ndarray):
        # All are in range. Without the cast JAX might warn that it truncates int64.
        indices = jnp.asarray(indices.astype(np.int32))
    values, batch = flatten_batch(y, ndim, "y")
    shape = (values.shape[0], math.prod(values.shape[1:-1]), values.shape[-1])
    limits = jnp.iinfo(indices.dtype)
    # In the dtype of the indices, whose range may be smaller or larger than int32's.
    indices = jnp.clip(indices, max(limits.min, -1), min(limits.max, count))
    indices = indices.astype(jnp.int32).reshape(shape)
    # JAX drops an index past the end; a negative one would count from the end.
    indices = jnp.where(indices < 0, count, indices)
    out = call_with_auto_axes(
        functools.partial(_write, count=count),
        match_varying_axes(values.reshape(shape), indices),
        (partition_spec(values)[0], None, partition_spec(values)[-1]),
    )
    return restore_batch(out.reshape((shape[0], *sizes, shape[2])), batch)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _write(values: jax.Array, indices: jax.Array, count: int) -> jax.Array:
    """Set `out[b, indices[b, i, c], c]` to `values[b, i, c]`; the last `i` wins.

    It is a maximum of integers followed by a gather. Neither depends on the order in
    which it is computed.
    """
    if not values.shape[1]:
        return jnp.zeros((values.shape[0], count, values.shape[2]), values.dtype)
    order = jax.lax.broadcasted_iota(jnp.int32, values.shape, 1)
    unset = _filled(indices, count, -1)
    last = unset.at[_along_axis(indices)].max(order, mode="drop")
    written = values.at[_along_axis(jnp.maximum(last, 0))].get(mode="clip")
    return jnp.where(last >= 0, written, jnp.zeros((), values.dtype))


@_write.defjvp
def _write_jvp(count, primals, tangents):
    (values, indices), (tangent, _) = primals, tangents
    add = functools.partial(_add, count=count)
    return _write(values, indices, count), linear_map(add, _read, tangent, indices)


def _read(out: jax.Array, indices: jax.Array) -> jax.Array:
    """Return `out[b, indices[b, i, c], c]`, and zero for an index past the end."""
    return out.at[_along_axis(indices)].get(mode="fill", fill_value=0)


def _add(values: jax.Array, indices: jax.Array, count: int) -> jax.Array:
    """Add up values of equal index, always in the same order.

    On GPUs a scatter would add them in no fixed order. Here each iteration adds the
    first remaining value of every index, so the number of iterations is the number of
    times that the most frequent index occurs.
    """
    wide = values.astype(accumulation_dtype(values.dtype))
    total = _filled(wide, count, 0)
    number = values.shape[1]
    if not number:
        return total.astype(values.dtype)
    order = jax.lax.broadcasted_iota(jnp.int32, values.shape, 1)
    none = _filled(indices, count, number)

    def add_first(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        total, remaining = state
        candidates = jnp.where(remaining, order, number)
        first = none.at[_along_axis(indices)].min(candidates, mode="drop")
        added = wide.at[_along_axis(first)].get(mode="fill", fill_value=0)
        return total + added, remaining & (_read(first, indices) != order)

    state = (total, indices < count)
    total, _ = jax.lax.while_loop(lambda state: jnp.any(state[1]), add_first, state)
    return total.astype(values.dtype)


def _filled(like: jax.Array, count: int, value: int) -> jax.Array:
    """Return an array of `value` with `count` elements on axis 1 of `like`.

    In `jax.shard_map` it varies over the same mesh axes as `like`.
    """
    full = jnp.full((like.shape[0], count, like.shape[2]), value, like.dtype)
    return match_varying_axes(full, like)[0]


def _along_axis(indices: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the index of `array[b, indices[b, i, c], c]` for all b, i and c."""
    batch = jax.lax.broadcasted_iota(jnp.int32, (indices.shape[0], 1, 1), 0)
    channels = jax.lax.broadcasted_iota(jnp.int32, (1, 1, indices.shape[2]), 2)
    return batch, indices, channels


def _check_indices(y: jax.Array, indices: ArrayLike) -> None:
    """Raise unless `indices` holds an integer for each element of `y`."""
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(
            f"`indices` has dtype {indices.dtype}; wanted integers, such as those of "
            "`max_pool_with_indices`."
        )
    if indices.shape != y.shape:
        raise ValueError(
            f"`indices` has shape {indices.shape} and `y` {y.shape}; wanted one index "
            "for each element of `y`."
        )


def _check_range(indices: ArrayLike, sizes: tuple[Size, ...]) -> None:
    """Raise if `indices` are known and one of them is out of range."""
    if isinstance(indices, Tracer) or not indices.size:
        return
    # By NumPy, since under `jax.jit` JAX's minimum of a constant would be a tracer.
    known = np.asarray(indices)
    count = math.prod(sizes)
    lowest, highest = int(known.min()), int(known.max())
    if lowest < -1 or highest >= count:
        raise ValueError(
            f"`indices` holds {lowest if lowest < -1 else highest}; wanted 0 to "
            f"{count - 1}, the indices of `spatial_shape` {sizes}, or -1 to drop an "
            "element. Pass the spatial shape of the array that was pooled."
        )


def _check_size(sizes: tuple[Size, ...], name: str) -> None:
    """Raise if spatial axes of `sizes` have more elements than int32 can count."""
    if definitely(lambda: math.prod(sizes) >= 2**31):
        raise ValueError(
            f"`{name}` has spatial axes of {sizes}; wanted fewer than 2**31 elements, "
            "since indices are int32. Pool parts of it."
        )
