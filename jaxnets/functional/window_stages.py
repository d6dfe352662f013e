"""Folds over windows in stages: on each axis, slices of the input, one per tap.

What is reduced axis by axis, such as a maximum, folds the taps of a window one after
the other. Each tap is a slice of the input, so what a fold passes back is made of pads
and concatenations: no scatter, in the same order every time.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxnets.functional.pool_windows import PoolWindows, fit_axis


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


def tap_places(values: np.ndarray, stage: Stage) -> list[np.ndarray]:
    """Return what each tap of a stage reads of `values`, which lie along its axis."""
    starts = stage.stride * np.arange(stage.out)
    return [values[starts + offset] for offset in stage.offsets]


def tap_slices(x: jax.Array, stage: Stage) -> list[jax.Array]:
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


def _unseen(windows: PoolWindows, axis: int, mode: str) -> np.ndarray:
    """Return where the covered axis holds the identity instead of an element."""
    low, high = windows.pairs[axis]
    first, last = low, low + windows.sizes[axis]
    if mode != "zeros":
        first, last = 0, last + high
    places = np.arange(windows.covered[axis])
    return (places < first) | (places >= last)
