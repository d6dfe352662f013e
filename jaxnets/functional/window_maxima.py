"""Maxima over windows, whose derivative gives each cotangent to the first maximum.

A window is a product of intervals, so the maximum is taken axis by axis, the last one
first: the first row that holds the maximum, and in it the first such element, is the
first in row-major order. On each axis the windows are folded over their taps, which
are slices of the input. The derivative selects the same taps, so its transpose is made
of selects, pads and concatenations: no scatter, in the same order every time.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.functional.pool_dtypes import lowest
from jaxnets.functional.pool_windows import PoolWindows, cover, fit_axis


# More taps than this on an axis are folded in stages, so that the program stays small.
MOST_TAPS = 8


class Stage(NamedTuple):
    """One fold over taps of one axis: `y[i] = max over o of x[stride * i + o]`.

    Attributes:
        axis: The axis of the array.
        offsets: Where the taps lie from the start of the window, increasing.
        stride: Distance between windows.
        out: Number of windows.
        unseen: For each input place, whether it holds padding and nothing else.
    """

    axis: int
    offsets: tuple[int, ...]
    stride: int
    out: int
    unseen: tuple[bool, ...]


def maxima_by_taps(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the maxima over windows by folding slices of `x`, axis by axis."""
    x = cover(x, windows, mode, fill=lowest(x.dtype))
    for axis in reversed(range(windows.ndim)):
        for stage in _stages(windows, axis, mode):
            x = _first_max(x, stage)
    return x


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


def _stages(windows: PoolWindows, axis: int, mode: str) -> list[Stage]:
    """Split the window of one axis into stages of at most `MOST_TAPS` taps each.

    Each stage widens the part of the window that a place stands for. All but the last
    keep only the places that a later one reads: `grid` is the distance between them.
    """
    stride, dilation = windows.strides[axis], windows.dilation[axis]
    taps = _tap_offsets(windows.window[axis])
    unseen = _unseen(windows, axis, mode)
    stages, grid = [], 1
    for i, offsets in enumerate(taps):
        later = taps[i + 1 :]
        coarser = math.gcd(stride, *(dilation * o for rest in later for o in rest))
        last = (windows.out[axis] - 1) * stride + sum(dilation * r[-1] for r in later)
        stage = Stage(
            axis=axis + 1,
            offsets=tuple(dilation * offset // grid for offset in offsets),
            stride=coarser // grid,
            out=last // coarser + 1,
            unseen=tuple(unseen.tolist()),
        )
        stages.append(stage)
        unseen = np.all(_places(unseen, stage), axis=0)
        grid = coarser
    return stages


def _tap_offsets(window: int) -> list[list[int]]:
    """Return the offsets of each stage; their sums are 0 to `window - 1`.

    The last tap may overlap the one before it, which changes no maximum, nor which
    is the first.
    """
    count = 1
    while MOST_TAPS**count < window:
        count += 1
    # As few taps as that number of stages allows.
    radix = next(r for r in range(1, window + 1) if r**count >= window)
    stages, width = [], 1
    while width < window:
        wider = min(width * radix, window)
        stages.append([*range(0, wider - width, width), wider - width])
        width = wider
    return stages or [[0]]


def _unseen(windows: PoolWindows, axis: int, mode: str) -> np.ndarray:
    """Return where the covered axis holds the identity instead of an element."""
    low, high = windows.pairs[axis]
    first, last = low, low + windows.sizes[axis]
    if mode != "zeros":
        first, last = 0, last + high
    places = np.arange(windows.covered[axis])
    return (places < first) | (places >= last)


def _places(values: np.ndarray, stage: Stage) -> list[np.ndarray]:
    """Return what each tap of a stage reads of `values`, which lie along its axis."""
    starts = stage.stride * np.arange(stage.out)
    return [values[starts + offset] for offset in stage.offsets]


def _taps(x: jax.Array, stage: Stage) -> list[jax.Array]:
    """Return one slice of `x` per tap.

    A slice with a stride transposes into a pad with holes, which XLA computes slowly.
    Splitting the axis into its residues modulo the stride transposes into a
    concatenation.
    """
    axis, stride, out = stage.axis, stage.stride, stage.out
    blocks = out + stage.offsets[-1] // stride
    x = fit_axis(x, axis, blocks * stride)
    residues = {0: x}
    if stride > 1:
        read = {offset % stride for offset in stage.offsets}
        cuts = sorted({0, stride, *read, *(residue + 1 for residue in read)})
        x = x.reshape((*x.shape[:axis], blocks, stride, *x.shape[axis + 1 :]))
        parts = jax.lax.split(x, np.diff(cuts).tolist(), axis + 1)
        # Parts that are read are one wide; the gaps between them may be wider.
        residues = {
            cut: jax.lax.squeeze(part, (axis + 1,))
            for cut, part in zip(cuts[:-1], parts, strict=True)
            if cut in read
        }
    firsts = [(residues[o % stride], o // stride) for o in stage.offsets]
    return [jax.lax.slice_in_dim(x, i, i + out, 1, axis) for x, i in firsts]


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
    taps = enumerate(_taps(tangents[0], stage))
    chosen = [jnp.where(winners == tap, values, 0) for tap, values in taps]
    tangent = functools.reduce(jnp.add, chosen)
    return maxima, jax.lax.optimization_barrier(tangent) if overlap else tangent


def _fold(x: jax.Array, stage: Stage) -> tuple[jax.Array, jax.Array]:
    """Return the maxima, and which tap is the first that holds each of them."""
    maxima, *rest = _taps(x, stage)
    winners = jnp.zeros(maxima.shape, jnp.int8)
    empty, *unseen = _places(np.asarray(stage.unseen), stage)
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
