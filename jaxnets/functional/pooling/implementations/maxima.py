"""Maxima whose derivative passes the whole cotangent to the first maximum.

A window is a product of intervals, so its maximum is taken axis by axis, starting with
the last one. The first row that contains the maximum, and in it the first such element,
is the first in row-major order. The derivative selects from the same slices as the
maximum. Its transpose consists of selects, pads and concatenations: it does not
scatter, and adds in the same order every time.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

from jaxnets.functional.pooling.dtypes import lowest
from jaxnets.functional.pooling.implementations.stages import (
    Stage,
    axis_stages,
    covering_offsets,
    padding_masks,
    shifted_slices,
    whole_window_stages,
)
from jaxnets.functional.pooling.options import (
    PoolWindows,
    for_reduce_window,
    padded_for_windows,
)
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.linear_maps import linear_map


# The largest windows, in elements, that are reduced at once: if windows do not overlap,
# and if they do. In the second case an element may be in at most this many windows.
_MOST_APART = 16
_MOST_OVERLAPPING = 9
_MOST_READS = 4
# The largest windows, in elements, whose elements "winners" compares at once.
_MOST_AT_ONCE = 64


def maxima_by_shifts(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the maxima over windows, computed from shifted slices of `x`."""
    x = _wide_and_padded(x, windows, mode)
    for stages in _reductions(windows, mode):
        x = _first_max(x, stages)
    return x


def maxima_with_indices(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> tuple[Shaped[Array, "batch *out channels"], Shaped[Array, "batch *out channels"]]:
    """Return the maxima of `maxima_by_shifts`, and the index of each of them in `x`.

    An index counts in the flattened spatial axes; it is -1 for an empty window.
    """
    # JAX computes this in the program. A NumPy array would be a large constant in it.
    indices = jnp.arange(math.prod(windows.sizes), dtype=jnp.int32)
    indices = indices.reshape((1, *windows.sizes, 1))
    indices = padded_for_windows(indices, windows, mode, fill=-1)
    x = _wide_and_padded(x, windows, mode)
    for stages in _reductions(windows, mode):
        _, winners = _argmax(jax.lax.stop_gradient(x), stages)
        indices = _select(indices, winners, stages)
        x = _first_max(x, stages)
    return x, indices


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def maxima_by_reduce_window(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the maxima over windows by `jax.lax.reduce_window`.

    XLA's derivative of it does not support dilation, and adds in no fixed order on
    GPUs. So the derivative is that of `maxima_by_shifts`.
    """
    x = _wide_and_padded(x, windows, mode)
    return jax.lax.reduce_window(
        for_reduce_window(x, windows),
        np.asarray(lowest(x.dtype), x.dtype)[()],
        jax.lax.max,
        (1, *windows.window, 1),
        (1, *windows.strides, 1),
        "VALID",
        window_dilation=(1, *windows.dilation, 1),
    )


@maxima_by_reduce_window.defjvp
def _maxima_by_reduce_window_jvp(windows, mode, primals, tangents):
    by_shifts = functools.partial(maxima_by_shifts, windows=windows, mode=mode)
    return jax.jvp(by_shifts, primals, tangents)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def maxima_by_winners(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the maxima over windows by `jax.lax.reduce_window`.

    The derivative has two passes: one stores which element of each window is the
    maximum, and one selects. A GPU reads the elements that several windows share from
    its caches, so larger windows are compared at once than on a CPU.
    """
    return maxima_by_reduce_window(x, windows, mode)


@maxima_by_winners.defjvp
def _maxima_by_winners_jvp(windows, mode, primals, tangents):
    prepare = functools.partial(_wide_and_padded, windows=windows, mode=mode)
    x, tangent = jax.jvp(prepare, primals, tangents)
    for stages in _reductions(windows, mode, _MOST_AT_ONCE):
        x, winners = _argmax(x, stages)
        tangent = _select(tangent, jax.lax.optimization_barrier(winners), stages)
    return x, tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def first_max(
    x: Shaped[Array, "..."], axis: int, mask: Bool[Array, "..."] | None = None
) -> Shaped[Array, "..."]:
    """Return the maximum over an axis; its derivative is that of the first maximum.

    A NaN counts as the largest number, and the first of several NaNs is the maximum.

    Args:
        x: Real numbers, integers or booleans.
        axis: The axis that is reduced, counted from the front.
        mask: Which elements are compared, broadcastable to the shape of `x`; None is
            all of them. The maximum of no elements is minus infinity, or the smallest
            integer.

    Example:
        >>> jax.grad(lambda x: first_max(x, 0))(jnp.ones(3))
        Array([1., 0., 0.], dtype=float32)
    """
    identity = lowest(x.dtype)
    if mask is not None:
        x = jnp.where(mask, x, jnp.asarray(identity, x.dtype))
    return jnp.max(x, axis=axis, initial=identity)


@first_max.defjvp
def _first_max_over_axis_jvp(axis, primals, tangents):
    (x, mask), (tangent, _) = primals, tangents
    maxima = first_max(x, axis, mask)
    is_maximum = (x == jnp.expand_dims(maxima, axis)) | jnp.isnan(x)
    if mask is not None:
        is_maximum &= mask
    size = x.shape[axis]
    indices = jax.lax.broadcasted_iota(jnp.int32, x.shape, axis)
    first = jnp.min(
        jnp.where(is_maximum, indices, size), axis=axis, keepdims=True, initial=size
    )
    return maxima, _element_at(tangent, first, axis)


def _element_at(x: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    """Return the element of an axis at `index`.

    The index is the only residual. JAX itself would store a boolean for each element.
    """

    def is_there(index: jax.Array) -> jax.Array:
        indices = jax.lax.broadcasted_iota(index.dtype, shape, axis)
        return indices == index

    def forward(x: jax.Array, index: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(is_there(index), x, 0), axis=axis)

    def transpose(cotangent: jax.Array, index: jax.Array) -> jax.Array:
        return jnp.where(is_there(index), jnp.expand_dims(cotangent, axis), 0)

    shape = x.shape
    return linear_map(forward, transpose, x, index)


def _wide_and_padded(x: jax.Array, windows: PoolWindows, mode: str) -> jax.Array:
    """Return `x` padded, in the dtype in which the cotangents of windows are added."""
    x = x.astype(accumulation_dtype(x.dtype))
    return padded_for_windows(x, windows, mode, fill=lowest(x.dtype))


def _reductions(
    windows: PoolWindows, mode: str, most: int = 0
) -> list[tuple[Stage, ...]]:
    """Return the reductions of a maximum: several of one axis each, or one of all.

    Windows of up to `most` elements are always reduced at once.
    """
    if _at_once(windows) or math.prod(windows.window) <= most:
        return [whole_window_stages(windows, mode)]
    reductions = []
    for axis in reversed(range(windows.ndim)):
        offsets = covering_offsets(windows.window[axis])
        reductions += [(stage,) for stage in axis_stages(windows, axis, offsets, mode)]
    return reductions


def _at_once(windows: PoolWindows) -> bool:
    """Return whether all elements of a window are compared at once.

    Then no intermediate result between two axes is stored, which for a small window
    would be the larger part of the work. But an element is compared once for each
    window that reads it.
    """
    elements, strides = math.prod(windows.window), math.prod(windows.strides)
    if not windows.overlap:
        return elements <= _MOST_APART
    return elements <= _MOST_OVERLAPPING and elements <= _MOST_READS * strides


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _first_max(x: jax.Array, stages: tuple[Stage, ...]) -> jax.Array:
    return _argmax(x, stages)[0]


@_first_max.defjvp
def _first_max_jvp(stages, primals, tangents):
    # Without the barriers XLA would compute maxima, winners and, in the backward pass,
    # cotangents again for each element of a window.
    maxima, winners = jax.lax.optimization_barrier(_argmax(primals[0], stages))
    selected = _select(tangents[0], winners, stages)
    return maxima, jax.lax.optimization_barrier(selected)


def _select(x: jax.Array, winners: jax.Array, stages: tuple[Stage, ...]) -> jax.Array:
    """Return the element of `x` in each window whose number is in `winners`.

    The winners are the only residual, one byte for each window. JAX itself would store
    a boolean for each element of each window.
    """

    def forward(x: jax.Array, winners: jax.Array) -> jax.Array:
        slices = enumerate(shifted_slices(x, *stages))
        return functools.reduce(
            jnp.add, [jnp.where(winners == i, values, 0) for i, values in slices]
        )

    def transpose(cotangent: jax.Array, winners: jax.Array) -> jax.Array:
        select = functools.partial(forward, winners=winners)
        return jax.linear_transpose(select, like)(cotangent)[0]

    like = jax.typeof(x)
    return linear_map(forward, transpose, x, winners)


def _argmax(x: jax.Array, stages: tuple[Stage, ...]) -> tuple[jax.Array, jax.Array]:
    """Return the maxima, and the number of the first maximal element of each window."""
    maxima, *slices = shifted_slices(x, *stages)
    winners = jnp.zeros(maxima.shape, jnp.int8)
    empty, *masks = padding_masks(x.ndim, *stages)
    for i, (values, padding) in enumerate(zip(slices, masks, strict=True), 1):
        # A NaN is larger than every number, and no number is larger than a NaN.
        larger = (maxima == maxima) & ~(values <= maxima)
        if isinstance(empty & ~padding, jax.Array) or np.any(empty & ~padding):
            # An element is the first maximum even if it equals the padding before it.
            larger = larger | jnp.asarray(empty & ~padding)
        maxima = jnp.where(larger, values, maxima)
        winners = jnp.where(larger, jnp.int8(i), winners)
        empty = empty & padding
    return maxima, winners
