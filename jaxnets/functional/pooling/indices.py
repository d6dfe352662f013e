"""Max pooling that says where the maxima stand, and its undoing.

The options are those of `jaxnets.functional.pooling.window`.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Shaped

from jaxnets.functional.pooling.dtypes import check_ordered
from jaxnets.functional.pooling.implementations.maxima import maxima_with_indices
from jaxnets.functional.pooling.options import pool_windows, spatial_sizes
from jaxnets.functional.shared.arguments import as_array
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.linear_maps import linear_map
from jaxnets.functional.shared.windows import (
    Padding,
    PerAxis,
    fold_batch,
    per_axis,
    unfold_batch,
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
    """Take the maximum of `x` in each window, and say where it stands.

    `y` is `max_pool(x)`, in its derivatives too, and
    `y[b, i, c] = x[b].reshape(-1, C)[indices[b, i, c], c]`.

    Args:
        x: Shape (*B, *spatial, C): batch axes, spatial axes, channels. Real numbers,
            integers or booleans.
        window_shape: Size of the window.
        strides: Distance between windows; None for `window_shape`.
        padding: What is added around the spatial axes.
        padding_mode: What it is filled with. Where that is an element of `x`, its index
            is that of the element.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach past the padding.

    Returns:
        `y` of shape (*B, *out, C) and the dtype of `x`; `indices` of the same shape,
        int32: places in the flattened (row-major) spatial axes of `x`, for each batch
        element and channel. Of equal maxima it is the first in row-major window order,
        of NaNs the first; -1 for a window without any element.

    Raises:
        TypeError: If `x` is complex, or an option has a wrong type.
        ValueError: If an option has a wrong value, an axis has no place for a window,
            or there are more places than int32 counts.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0, 2.0, 0.0, 3.0], [0.0, 0.0, 9.0, 0.0]])
        >>> y, indices = max_pool_with_indices(x[..., None], (2, 2))
        >>> y.ravel(), indices.ravel()
        (Array([2., 9.], dtype=float32), Array([1, 6], dtype=int32))

    It differs from PyTorch's `return_indices` in channels last, "SAME" and one-sided
    padding, padding modes, and int32 in place of int64. Flax and Keras have none.
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
    _check_places(windows.sizes, "x")
    folded, batch = fold_batch(x, windows.ndim, "x")
    wide = folded.astype(accumulation_dtype(x.dtype))
    y, indices = maxima_with_indices(wide, windows, padding_mode)
    return unfold_batch(y.astype(x.dtype), batch), unfold_batch(indices, batch)


def max_unpool(
    y: Shaped[ArrayLike, "..."],
    indices: Shaped[ArrayLike, "..."],
    spatial_shape: PerAxis,
) -> Shaped[Array, "..."]:
    """Put each element of `y` back to the place that its index names; zeros elsewhere.

    `out[b].reshape(-1, C)[indices[b, i, c], c] = y[b, i, c]`, which undoes
    `max_pool_with_indices` but for the elements that were no maximum.

    Overlapping windows may name one place several times, as a rule with equal values.
    Then the last in row-major order sets it. As a derivative each place passes its full
    cotangent to every index that names it: `dy[b, i, c]` is the cotangent of `out` at
    that place. Forward mode is the exact transpose of this, a sum over the indices.

    Args:
        y: Shape (*B, *out, C), any dtype.
        indices: Of the shape of `y`, any integer dtype: places in the flattened
            (row-major) spatial axes of the result, for each batch element and channel.
            -1 drops the element.
        spatial_shape: Sizes of the spatial axes of the result: an int for `y.ndim - 2`
            axes between batch and channels, or one int per axis.

    Returns:
        Shape (*B, *spatial_shape, C), the dtype of `y`.

    Raises:
        TypeError: If `indices` holds no integers, or `spatial_shape` is neither an int
            nor a sequence of ints.
        ValueError: If shapes differ, or an index is less than -1 or past the last
            place. Under `jax.jit` and other transformations the values of `indices` are
            not known; there such an element is dropped.

    Example:
        >>> import jax.numpy as jnp
        >>> y, indices = jnp.array([[2.0], [9.0]]), jnp.array([[1], [2]])
        >>> max_unpool(y, indices, (4,)).ravel()
        Array([0., 2., 9., 0.], dtype=float32)

    Source: Zeiler, Taylor and Fergus 2011, "Adaptive Deconvolutional Networks for Mid
    and High Level Feature Learning", section 3.1 ("switches"). It differs from PyTorch
    in channels last, in -1, and in that the shape is always given. Flax and Keras have
    none.
    """
    y = as_array(y, "y")
    if not isinstance(indices, jax.Array):
        # Not yet as JAX's, which may have no 64 bits: values are checked first.
        indices = np.asarray(indices)
    _check_indices(y, indices)
    ndim = len(spatial_sizes(y, spatial_shape, "spatial_shape", array="y"))
    sizes = per_axis(spatial_shape, ndim, "spatial_shape")
    _check_places(sizes, "spatial_shape")
    count = math.prod(sizes)
    _check_range(indices, sizes)
    if isinstance(indices, np.ndarray):
        # In range, so nothing is lost. JAX may keep int64 that it had before.
        indices = jnp.asarray(indices.astype(np.int32))
    values, batch = fold_batch(y, ndim, "y")
    flat = (len(values), math.prod(values.shape[1:-1]), values.shape[-1])
    limits = jnp.iinfo(indices.dtype)
    # In the dtype of the indices, whose range may be narrower than int32 or wider.
    places = jnp.clip(indices, max(limits.min, -1), min(limits.max, count))
    places = places.astype(jnp.int32).reshape(flat)
    # A negative one would count from the end; past the end is dropped.
    places = jnp.where(places < 0, count, places)
    out = _put(values.reshape(flat), places, count)
    return unfold_batch(out.reshape((flat[0], *sizes, flat[2])), batch)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _put(values: jax.Array, places: jax.Array, count: int) -> jax.Array:
    """Set `out[b, places[b, i, c], c]` to `values[b, i, c]`; the last `i` wins.

    A maximum of integers and a gather: both give the same in any order.
    """
    if not values.shape[1]:
        return jnp.zeros((values.shape[0], count, values.shape[2]), values.dtype)
    order = jax.lax.broadcasted_iota(jnp.int32, values.shape, 1)
    unset = jnp.full((values.shape[0], count, values.shape[2]), -1, jnp.int32)
    last = unset.at[_along_places(places)].max(order, mode="drop")
    chosen = values.at[_along_places(jnp.maximum(last, 0))].get(mode="clip")
    return jnp.where(last >= 0, chosen, jnp.zeros((), values.dtype))


@_put.defjvp
def _put_jvp(count, primals, tangents):
    (values, places), (tangent, _) = primals, tangents
    total = functools.partial(_total, count=count)
    return _put(values, places, count), linear_map(total, _read, tangent, places)


def _read(out: jax.Array, places: jax.Array) -> jax.Array:
    """Return what stands at each of `places`, and zero past the end."""
    return out.at[_along_places(places)].get(mode="fill", fill_value=0)


def _total(values: jax.Array, places: jax.Array, count: int) -> jax.Array:
    """Add up the values that name the same place, always in their order.

    A scatter would add them in no fixed order on GPUs. Here each turn adds the first
    value that is left of each place, so there are as many turns as a place has values.
    """
    wide = values.astype(accumulation_dtype(values.dtype))
    total = jnp.zeros((values.shape[0], count, values.shape[2]), wide.dtype)
    number = values.shape[1]
    if not number:
        return total.astype(values.dtype)
    order = jax.lax.broadcasted_iota(jnp.int32, values.shape, 1)
    none = jnp.full(total.shape, number, jnp.int32)

    def turn(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        total, left = state
        waiting = jnp.where(left, order, number)
        first = none.at[_along_places(places)].min(waiting, mode="drop")
        chosen = wide.at[_along_places(first)].get(mode="fill", fill_value=0)
        return total + chosen, left & (_read(first, places) != order)

    state = (total, places < count)
    total, _ = jax.lax.while_loop(lambda state: jnp.any(state[1]), turn, state)
    return total.astype(values.dtype)


def _along_places(places: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the index of `array[b, places[b, i, c], c]` for all b, i and c."""
    batch = jax.lax.broadcasted_iota(jnp.int32, (places.shape[0], 1, 1), 0)
    channels = jax.lax.broadcasted_iota(jnp.int32, (1, 1, places.shape[2]), 2)
    return batch, places, channels


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


def _check_range(indices: ArrayLike, sizes: tuple[int, ...]) -> None:
    """Raise unless `indices`, if known, lie in spatial axes of `sizes`."""
    if isinstance(indices, Tracer) or not indices.size:
        return
    # On the host: within `jax.jit` JAX's own minimum of a constant is not known.
    known = np.asarray(indices)
    count = math.prod(sizes)
    lowest, highest = int(known.min()), int(known.max())
    if lowest < -1 or highest >= count:
        raise ValueError(
            f"`indices` holds {lowest if lowest < -1 else highest}; wanted 0 to "
            f"{count - 1}, the places of `spatial_shape` {sizes}, or -1 to drop an "
            "element. Give the spatial shape that was pooled."
        )


def _check_places(sizes: tuple[int, ...], name: str) -> None:
    """Raise if int32 does not count the places of spatial axes."""
    if math.prod(sizes) >= 2**31:
        raise ValueError(
            f"`{name}` has spatial axes of {sizes}; wanted fewer than 2**31 places, "
            "since indices are int32. Pool parts of it."
        )
