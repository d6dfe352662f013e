"""Fractional max pooling, which reduces the size by any ratio with random windows."""

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, check_key, list_or_none
from jaxnets.functional.pooling.dtypes import check_ordered, lowest
from jaxnets.functional.pooling.implementations.gathers import Intervals, interval_view
from jaxnets.functional.pooling.implementations.maxima import first_max
from jaxnets.functional.pooling.options import spatial_sizes
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.sizes import Size, check_known
from jaxnets.functional.shared.windows import (
    PerAxis,
    flatten_batch,
    per_axis,
    restore_batch,
)
from jaxnets.typing import ArrayLike, Key


def fractional_max_pool(
    x: Shaped[ArrayLike, "..."],
    window_shape: PerAxis,
    output_shape: PerAxis,
    *,
    key: Key | None = None,
    samples: Shaped[ArrayLike, "..."] | None = None,
) -> Shaped[Array, "..."]:
    """Take the maximum of `x` in a given number of random windows.

    On a spatial axis of n elements with m windows of k elements, and with a sample u in
    [0, 1) for each channel of each batch element, the windows start at

    `floor((i + u) * a) - floor(u * a)`, `a = (n - k) / (m - 1)`, for i from 0 to m - 1.

    So the first starts at 0, the last ends at n, and the distances between starts are
    `floor(a)` or `ceil(a)`. A single window ends at n. The starts are exact, whatever
    the precision of u. With `k = 2` and `n / m` between 1 and 2 the windows are the
    pseudorandom overlapping regions of the paper. If `k` is less than such a distance,
    some elements are in no window.

    Among equal maxima the first in row-major order of the window receives the whole
    cotangent, and the first NaN wins, as in `max_pool`.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Real numbers,
            integers or booleans.
        window_shape: Size k of the windows: an int, or one int per spatial axis.
        output_shape: Number m of windows: an int, or one int per spatial axis, at most
            `n - k + 1`. Where both are ints there are `x.ndim - 2` spatial axes.
        key: A JAX random key, from which the samples are drawn.
        samples: The samples, instead of `key`: floating-point numbers in [0, 1) of
            shape `(*B, C, number of spatial axes)`.

    Returns:
        Shape `(*B, *output_shape, C)`, the dtype of `x`.

    Raises:
        TypeError: If `x` is complex, `samples` does not hold floating-point numbers, or
            an option has a wrong type.
        ValueError: If an option has a wrong value, an axis has a symbolic size or is
            too small for the windows, `samples` has a wrong shape or a value outside
            [0, 1), or both or neither of `key` and `samples` are given. Under `jax.jit`
            and other transformations the values are unknown, and a value outside
            [0, 1) is replaced by the nearest sample.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import fractional_max_pool
        >>> x = jnp.arange(7.0)[:, None]
        >>> for u in (0.0, 0.5):
        ...     y = fractional_max_pool(x, (2,), (4,), samples=jnp.array([[u]]))
        ...     print(y.ravel())
        [1. 2. 4. 6.]
        [1. 3. 5. 6.]

    Source: Graham 2014, "Fractional Max-Pooling", section 2. PyTorch has the same
    windows, except that it rounds `a`; its samples of images have the last axis first.
    Flax and Keras have no such pool.
    """
    x = as_array(x, "x")
    check_ordered(x)
    if list_or_none(output_shape) is not None:
        sizes = spatial_sizes(x, output_shape, "output_shape")
    else:
        sizes = spatial_sizes(x, window_shape, "window_shape")
    window = per_axis(window_shape, len(sizes), "window_shape")
    out = per_axis(output_shape, len(sizes), "output_shape")
    check_known(sizes, "x", "to place the windows")
    _check_room(sizes, window, out)
    flat, batch = flatten_batch(x, len(sizes), "x")
    samples = _samples((*batch, x.shape[-1], len(sizes)), key, samples)
    samples = samples.reshape((flat.shape[0], x.shape[-1], len(sizes)))
    y = flat.astype(accumulation_dtype(x.dtype))
    for axis in reversed(range(len(sizes))):
        y = _pool_axis(y, axis + 1, window[axis], out[axis], samples[..., axis])
    return restore_batch(y.astype(x.dtype), batch)


def _pool_axis(
    x: jax.Array, axis: int, window: int, out: int, samples: jax.Array
) -> jax.Array:
    """Pool one axis of `x (B, *spatial, C)` with `samples (B, C)`.

    With `r = n - k` and `s = m - 1` a window starts at
    `(i * r + floor(u * r)) // s - floor(u * r) // s`, since only the integer part of
    `u * r` can carry over. That is `i * r // s`, or one more ("late") if the remainders
    of `i * r` and of `floor(u * r)` add up to s or more. So for every sample the window
    lies in the same `k + 1` elements.
    """
    room, steps = x.shape[axis] - window, max(out - 1, 1)
    products = [i * room for i in range(out)] if out > 1 else [room]
    firsts = [product // steps for product in products]
    ends = [min(first + window + 1, x.shape[axis]) for first in firsts]
    intervals = Intervals(tuple(firsts), tuple(ends))
    view = interval_view(x, axis, intervals, lowest(x.dtype))

    remainders = jnp.asarray([product % steps for product in products], jnp.int32)
    remainders = remainders[None, :, None]
    carry = remainders + jnp.expand_dims(_floors(samples, room) % steps, 1)
    others = [i for i in range(1, view.ndim - 1) if i != axis]
    late = jnp.expand_dims(carry >= steps, others)
    index = jax.lax.broadcasted_iota(jnp.int32, view.shape, axis + 1)
    in_window = jnp.where(late, index >= 1, index < window)
    return first_max(view, axis + 1, in_window)


def _floors(samples: jax.Array, factor: int) -> jax.Array:
    """Return `floor(samples * factor)` without rounding: 0 to `factor - 1`.

    A product of floats may be rounded up to an integer. So samples are compared with
    the smallest floats that are at least `1 / factor`, `2 / factor` and so on.
    """
    bounds = []
    for number in range(1, factor):
        bound = samples.dtype.type(number / factor)
        below = Fraction(float(bound)) < Fraction(number, factor)
        bounds.append(np.nextafter(bound, samples.dtype.type(1)) if below else bound)
    bounds = jnp.asarray(bounds, samples.dtype).reshape((1, 1, len(bounds)))
    reached = jnp.expand_dims(samples, -1) >= bounds
    return jnp.sum(reached, axis=-1, dtype=jnp.int32)


def _samples(shape: tuple[Size, ...], key: Any, samples: Any) -> jax.Array:
    """Return the given samples after checking them, or draw some with the key."""
    if (key is None) == (samples is None):
        given = "neither" if key is None else "both"
        raise ValueError(
            f"`key` and `samples`: {given} given; wanted exactly one. Pass a `key` for "
            "random windows."
        )
    if samples is None:
        return _drawn(key, shape)
    known = not isinstance(samples, Tracer)
    # Checked as NumPy arrays, since a float64 just below 1 becomes 1 in float32.
    samples = np.asarray(samples) if known else samples
    if not jnp.issubdtype(samples.dtype, jnp.floating):
        raise TypeError(
            f"`samples` has dtype {samples.dtype}; wanted floating-point numbers in "
            "[0, 1)."
        )
    if samples.shape != shape:
        raise ValueError(
            f"`samples` has shape {samples.shape}; wanted {shape}: one number for each "
            "channel of each batch element and each spatial axis."
        )
    if known and not np.all((samples >= 0) & (samples < 1)):
        raise ValueError("`samples` has values outside [0, 1); wanted none.")
    samples = jnp.asarray(samples)
    return samples.astype(accumulation_dtype(samples.dtype))


def _drawn(key: Any, shape: tuple[Size, ...]) -> jax.Array:
    """Draw samples; raise a TypeError if `key` is not a random key."""
    check_key(key)
    return jax.random.uniform(key, shape, jnp.float32)


def _check_room(
    sizes: tuple[Size, ...], window: tuple[Size, ...], out: tuple[Size, ...]
) -> None:
    """Raise unless all windows of an axis can start at different elements."""
    for axis, (n, k, m) in enumerate(zip(sizes, window, out, strict=True)):
        if m > n - k + 1:
            raise ValueError(
                f"`output_shape` is {out} and `window_shape` {window}, but spatial "
                f"axis {axis} of {n} elements has {max(n - k + 1, 0)} positions for a "
                f"window of {k}; wanted at most as many windows."
            )
