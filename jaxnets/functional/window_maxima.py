"""Maxima over windows, whose derivative gives each cotangent to the first maximum.

A window is a product of intervals, so the maximum is taken axis by axis, the last one
first: the first row that holds the maximum, and in it the first such element, is the
first in row-major order. On each axis the windows are folded over their taps, which
are slices of the input. The derivative selects the same taps, so its transpose is made
of selects, pads and concatenations: no scatter, in the same order every time.
"""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.functional.pool_dtypes import lowest
from jaxnets.functional.pool_windows import (
    PoolWindows,
    cover,
    fit_axis,
    shown_padded,
)
from jaxnets.functional.window_stages import (
    Stage,
    covering_taps,
    fold_stages,
    tap_places,
    tap_slices,
)


def maxima_by_taps(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the maxima over windows by folding slices of `x`, axis by axis."""
    x = cover(x, windows, mode, fill=lowest(x.dtype))
    for stage in _stages(windows, mode):
        x = _first_max(x, stage)
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
    for stage in _stages(windows, mode):
        _, winners = _fold(jax.lax.stop_gradient(x), stage)
        taps = enumerate(tap_slices(places, stage))
        chosen = [jnp.where(winners == tap, values, 0) for tap, values in taps]
        places = functools.reduce(jnp.add, chosen)
        x = _first_max(x, stage)
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
    for axis, size in enumerate(windows.covered, 1):
        x = fit_axis(x, axis, size)
    x = shown_padded(x, windows)
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


def _stages(windows: PoolWindows, mode: str) -> Iterator[Stage]:
    """Yield the folds of all axes, the last axis first."""
    for axis in reversed(range(windows.ndim)):
        yield from fold_stages(windows, axis, covering_taps(windows.window[axis]), mode)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _first_max(x: jax.Array, stage: Stage) -> jax.Array:
    return _fold(x, stage)[0]


@_first_max.defjvp
def _first_max_jvp(stage, primals, tangents):
    maxima, winners = _fold(primals[0], stage)
    overlap = len(stage.offsets) > stage.stride
    if overlap:
        # Each element takes part in several windows. Without the barriers XLA would
        # compute every one of them again for each of its taps.
        maxima, winners = jax.lax.optimization_barrier((maxima, winners))
    taps = enumerate(tap_slices(tangents[0], stage))
    chosen = [jnp.where(winners == tap, values, 0) for tap, values in taps]
    tangent = functools.reduce(jnp.add, chosen)
    return maxima, jax.lax.optimization_barrier(tangent) if overlap else tangent


def _fold(x: jax.Array, stage: Stage) -> tuple[jax.Array, jax.Array]:
    """Return the maxima, and which tap is the first that holds each of them."""
    maxima, *rest = tap_slices(x, stage)
    winners = jnp.zeros(maxima.shape, jnp.int8)
    empty, *unseen = tap_places(np.asarray(stage.unseen), stage)
    for tap, (values, padding) in enumerate(zip(rest, unseen, strict=True), 1):
        # A NaN beats every number and nothing beats a NaN.
        better = (maxima == maxima) & ~(values <= maxima)
        if np.any(empty & ~padding):
            # An element that equals the padding before it still is the first maximum.
            shape = [1] * x.ndim
            shape[stage.axis] = stage.out
            better = better | jnp.asarray(empty & ~padding).reshape(shape)
        maxima = jnp.where(better, values, maxima)
        winners = jnp.where(better, jnp.int8(tap), winners)
        empty = empty & padding
    return maxima, winners
