"""Maxima over windows, whose derivative gives each cotangent to the first maximum.

A window is a product of intervals, so the maximum is taken axis by axis, the last one
first: the first row that holds the maximum, and in it the first such element, is the
first in row-major order. On each axis, or in a small window on all axes at once, the
windows are folded over their taps, which are slices of the input. The derivative
selects the same taps, so its transpose is made of selects, pads and concatenations: no
scatter, in the same order every time.
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
    covering_taps,
    fold_stages,
    tap_slices,
    unseen_taps,
    whole_stages,
)
from jaxnets.functional.pooling.options import (
    PoolWindows,
    cover,
    shown_padded,
    without_further_windows,
)


# Windows of up to so many elements are folded at once where they lie apart, and where
# they overlap: the latter if an element lies in few of them.
_MOST_APART = 16
_MOST_OVERLAPPING = 9
_MOST_READS = 4


def maxima_by_taps(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the maxima over windows by folding slices of `x`, axis by axis."""
    x = cover(x, windows, mode, fill=lowest(x.dtype))
    for stages in _folds(windows, mode):
        x = _first_max(x, stages)
    return x


def maxima_with_indices(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> tuple[Shaped[Array, "batch *out channels"], Shaped[Array, "batch *out channels"]]:
    """Return the maxima of `maxima_by_taps`, and where in `x` each of them stands.

    A place is an index into the flattened spatial axes; -1 where a window sees none.
    """
    places = np.arange(math.prod(windows.sizes), dtype=np.int32)
    places = jnp.asarray(places.reshape((1, *windows.sizes, 1)))
    places = cover(places, windows, mode, fill=-1)
    x = cover(x, windows, mode, fill=lowest(x.dtype))
    for stages in _folds(windows, mode):
        _, winners = _fold(jax.lax.stop_gradient(x), stages)
        places = _chosen(places, winners, stages)
        x = _first_max(x, stages)
    return x, places


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def maxima_by_reduce_window(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the maxima over windows by `jax.lax.reduce_window`.

    XLA's own derivative of it knows no dilation, and on GPUs no fixed order. So a
    program that is differentiated runs `maxima_by_taps` instead.
    """
    x = cover(x, windows, mode, fill=lowest(x.dtype))
    x = shown_padded(without_further_windows(x, windows), windows)
    return jax.lax.reduce_window(
        x,
        np.asarray(lowest(x.dtype), x.dtype)[()],
        jax.lax.max,
        (1, *windows.window, 1),
        (1, *windows.strides, 1),
        "VALID",
        window_dilation=(1, *windows.dilation, 1),
    )


@maxima_by_reduce_window.defjvp
def _jvp_of_reduce_window(windows, mode, primals, tangents):
    by_taps = functools.partial(maxima_by_taps, windows=windows, mode=mode)
    return jax.jvp(by_taps, primals, tangents)


def _folds(windows: PoolWindows, mode: str) -> list[tuple[Stage, ...]]:
    """Return the folds that a maximum is made of: each of one axis, or one of all."""
    if _at_once(windows):
        return [whole_stages(windows, mode)]
    folds = []
    for axis in reversed(range(windows.ndim)):
        taps = covering_taps(windows.window[axis])
        folds += [(stage,) for stage in fold_stages(windows, axis, taps, mode)]
    return folds


def _at_once(windows: PoolWindows) -> bool:
    """Say whether the taps of all axes are folded at once.

    That spares what passes between the folds of two axes, the larger part of the time
    of a small window. But then an element is compared with each tap that reads it.
    """
    taps, strides = math.prod(windows.window), math.prod(windows.strides)
    if not windows.overlap:
        return taps <= _MOST_APART
    return taps <= _MOST_OVERLAPPING and taps <= _MOST_READS * strides


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _first_max(x: jax.Array, stages: tuple[Stage, ...]) -> jax.Array:
    return _fold(x, stages)[0]


@_first_max.defjvp
def _first_max_jvp(stages, primals, tangents):
    # Without the barriers XLA would compute maxima, winners and on the way back the
    # cotangents again for each of the elements of a window.
    maxima, winners = jax.lax.optimization_barrier(_fold(primals[0], stages))
    chosen = _chosen(tangents[0], winners, stages)
    return maxima, jax.lax.optimization_barrier(chosen)


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def _chosen(x: jax.Array, winners: jax.Array, stages: tuple[Stage, ...]) -> jax.Array:
    """Return what the winning taps read of `x`.

    The checkpoint keeps one byte for each window; JAX by itself keeps one for each tap,
    whether it won.
    """
    taps = enumerate(tap_slices(x, *stages))
    return functools.reduce(
        jnp.add, [jnp.where(winners == tap, values, 0) for tap, values in taps]
    )


def _fold(x: jax.Array, stages: tuple[Stage, ...]) -> tuple[jax.Array, jax.Array]:
    """Return the maxima, and which tap is the first that holds each of them."""
    maxima, *rest = tap_slices(x, *stages)
    winners = jnp.zeros(maxima.shape, jnp.int8)
    empty, *unseen = unseen_taps(x.ndim, *stages)
    for tap, (values, padding) in enumerate(zip(rest, unseen, strict=True), 1):
        # A NaN beats every number and nothing beats a NaN.
        better = (maxima == maxima) & ~(values <= maxima)
        if np.any(empty & ~padding):
            # An element that equals the padding before it still is the first maximum.
            better = better | jnp.asarray(empty & ~padding)
        maxima = jnp.where(better, values, maxima)
        winners = jnp.where(better, jnp.int8(tap), winners)
        empty = empty & padding
    return maxima, winners


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def first_max(
    x: Shaped[Array, "..."], axis: int, seen: Bool[Array, "..."] | None = None
) -> Shaped[Array, "..."]:
    """Return the maximum over an axis; of equal ones the first is differentiated.

    A NaN counts as the largest, the first of several.

    Args:
        x: Real numbers, integers or booleans.
        axis: The axis that goes, counted from the front.
        seen: Which elements take part, of a shape that broadcasts to that of `x`;
            None for all. Where none does the result is minus infinity, or the smallest
            integer.

    Example:
        >>> jax.grad(lambda x: first_max(x, 0))(jnp.ones(3))
        Array([1., 0., 0.], dtype=float32)
    """
    identity = lowest(x.dtype)
    if seen is not None:
        x = jnp.where(seen, x, jnp.asarray(identity, x.dtype))
    return jnp.max(x, axis=axis, initial=identity)


@first_max.defjvp
def _axis_max_jvp(axis, primals, tangents):
    (x, seen), (tangent, _) = primals, tangents
    maxima = first_max(x, axis, seen)
    winning = (x == jnp.expand_dims(maxima, axis)) | jnp.isnan(x)
    if seen is not None:
        winning &= seen
    size = x.shape[axis]
    places = jax.lax.broadcasted_iota(jnp.int32, x.shape, axis)
    firsts = jnp.min(
        jnp.where(winning, places, size), axis=axis, keepdims=True, initial=size
    )
    return maxima, _at(tangent, firsts, axis)


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def _at(x: jax.Array, firsts: jax.Array, axis: int) -> jax.Array:
    """Return what stands at the place `firsts` of an axis.

    The checkpoint keeps that place; JAX by itself keeps of each element whether it is
    the one.
    """
    places = jax.lax.broadcasted_iota(firsts.dtype, x.shape, axis)
    return jnp.sum(jnp.where(places == firsts, x, 0), axis=axis)
