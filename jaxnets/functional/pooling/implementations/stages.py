"""Folds over windows in stages: on each axis, slices of the input, one per tap.

What is reduced axis by axis, such as a maximum, folds the taps of a window one after
the other; the taps of a small window are folded at once. Each tap is a slice of the
input, so what a fold passes back is made of pads and concatenations: no scatter, in the
same order every time.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxnets.functional.pooling.options import PoolWindows, fit_axis


# More taps than this on an axis are folded in stages, so that the program stays small.
MOST_TAPS = 8


class Stage(NamedTuple):
    """One fold over taps of one axis: `y[i] = fold over o of x[stride * i + o]`.

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


def covering_taps(window: int) -> list[list[int]]:
    """Return offsets for each stage whose sums are 0 to `window - 1`, some twice.

    The last tap may overlap the one before it, which changes no maximum, nor which
    is the first.

    Example:
        >>> covering_taps(11)
        [[0, 1, 2, 3], [0, 4, 7]]
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


def exact_taps(window: int) -> list[list[int]]:
    """Return offsets for each stage whose sums are 0 to `window - 1`, each once.

    Example:
        >>> exact_taps(12)
        [[0, 1, 2, 3, 4, 5], [0, 6]]
    """
    stages, width = [], 1
    while width < window:
        rest = window // width
        divisors = [d for d in range(2, rest + 1) if rest % d == 0]
        count = max((d for d in divisors if d <= MOST_TAPS), default=divisors[0])
        stages.append([width * tap for tap in range(count)])
        width *= count
    return stages or [[0]]


def fold_stages(
    windows: PoolWindows, axis: int, taps: Sequence[Sequence[int]], mode: str
) -> list[Stage]:
    """Make a stage of each entry of `taps`, for the windows of one spatial axis.

    Each stage widens the part of the window that a place stands for. All but the last
    keep only the places that a later one reads: `grid` is the distance between them.
    """
    stride, dilation = windows.strides[axis], windows.dilation[axis]
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
        unseen = np.all(tap_places(unseen, stage), axis=0)
        grid = coarser
    return stages


def whole_stages(windows: PoolWindows, mode: str) -> tuple[Stage, ...]:
    """Make one stage of each spatial axis, for the taps of all to be folded at once."""
    taps = [[range(size)] for size in windows.window]
    stages = (fold_stages(windows, a, t, mode) for a, t in enumerate(taps))
    return tuple(stage for (stage,) in stages)


def tap_places(values: np.ndarray, stage: Stage) -> list[np.ndarray]:
    """Return what each tap of a stage reads of `values`, which lie along its axis."""
    starts = stage.stride * np.arange(stage.out)
    return [values[starts + offset] for offset in stage.offsets]


def unseen_taps(ndim: int, *stages: Stage) -> list[np.ndarray]:
    """Return for each tap of `tap_slices` where it reads padding and nothing else.

    They broadcast to the slices, which have `ndim` axes.
    """
    along = []
    for stage in stages:
        shape = [1] * ndim
        shape[stage.axis] = stage.out
        read = tap_places(np.asarray(stage.unseen), stage)
        along.append([places.reshape(shape) for places in read])
    return [functools.reduce(np.logical_or, taps) for taps in itertools.product(*along)]


def tap_slices(x: jax.Array, *stages: Stage) -> list[jax.Array]:
    """Return one slice of `x` per tap: of stages of several axes, in row-major order.

    A slice with a stride transposes into a pad with holes, so that each place would
    look at every tap. Splitting an axis into its residues modulo the stride transposes
    into a concatenation, where a place looks at the taps that read it.
    """
    parts: dict[tuple[int, ...], jax.Array] = {(): x}
    for stage in stages:
        parts = {
            (*before, residue): part
            for before, whole in parts.items()
            for residue, part in _residues(whole, stage).items()
        }
    slices = []
    for offsets in itertools.product(*(stage.offsets for stage in stages)):
        axes = list(zip(offsets, stages, strict=True))
        part = parts[tuple(offset % stage.stride for offset, stage in axes)]
        starts, limits = [0] * part.ndim, list(part.shape)
        for offset, stage in axes:
            starts[stage.axis] = offset // stage.stride
            limits[stage.axis] = starts[stage.axis] + stage.out
        slices.append(jax.lax.slice(part, starts, limits))
    return slices


def _residues(x: jax.Array, stage: Stage) -> dict[int, jax.Array]:
    """Return, by residue modulo the stride, what the taps of a stage read of `x`."""
    axis, stride = stage.axis, stage.stride
    blocks = stage.out + stage.offsets[-1] // stride
    x = fit_axis(x, axis, blocks * stride)
    if stride == 1:
        return {0: x}
    read = {offset % stride for offset in stage.offsets}
    cuts = sorted({0, stride, *read, *(residue + 1 for residue in read)})
    x = x.reshape((*x.shape[:axis], blocks, stride, *x.shape[axis + 1 :]))
    parts = jax.lax.split(x, np.diff(cuts).tolist(), axis + 1)
    # Parts that are read are one wide; the gaps between them may be wider.
    return {
        cut: jax.lax.squeeze(part, (axis + 1,))
        for cut, part in zip(cuts[:-1], parts, strict=True)
        if cut in read
    }


def _unseen(windows: PoolWindows, axis: int, mode: str) -> np.ndarray:
    """Return where the covered axis holds the identity instead of an element."""
    low, high = windows.pairs[axis]
    first, last = low, low + windows.sizes[axis]
    if mode != "zeros":
        first, last = 0, last + high
    places = np.arange(windows.covered[axis])
    return (places < first) | (places >= last)
