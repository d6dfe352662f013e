"""Reductions over windows in stages, each over shifted slices of the input.

A reduction such as a maximum runs axis by axis, and on a long axis in several stages: a
stage reduces one slice of the input per offset. All elements of a small window are
reduced at once. The transpose of a slice is made of pads and concatenations. So no
derivative scatters, and it adds in the same order every time.
"""

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool

from jaxnets.functional.pooling.options import PoolWindows, resize_axis
from jaxnets.functional.shared.sizes import Size, definitely, index_range
from jaxnets.typing import ArrayLike


# A window with more elements on an axis is reduced in stages, for smaller programs.
MOST_OFFSETS = 8


class Stage(NamedTuple):
    """One reduction along one axis: `y[i] = reduce over o of x[stride * i + o]`.

    Attributes:
        axis: The axis of the array.
        offsets: Where the elements of a window lie from its start, increasing.
        stride: Distance between windows.
        out: Number of windows.
        grid: Distance between the elements of the input axis, counted in elements of
            the padded axis of the pool.
        reduced: Which elements of the padded axis were reduced to one of the input
            axis, counted from it.
        filled: The number of elements of the padded axis before those that are not
            padding, and up to their end.
    """

    axis: int
    offsets: tuple[Size, ...]
    stride: int
    out: Size
    grid: int
    reduced: tuple[Size, ...]
    filled: tuple[Size, Size]


def covering_offsets(window: int) -> list[list[int]]:
    """Return offsets for each stage whose sums are 0 to `window - 1`, some twice.

    The last offset of a stage may overlap the one before it. That changes neither a
    maximum nor which element is the first maximum.

    Example:
        >>> covering_offsets(11)
        [[0, 1, 2, 3], [0, 4, 7]]
    """
    count = 1
    while MOST_OFFSETS**count < window:
        count += 1
    # The smallest number of offsets per stage with this number of stages.
    radix = next(r for r in range(1, window + 1) if r**count >= window)
    stages, width = [], 1
    while width < window:
        wider = min(width * radix, window)
        stages.append([*range(0, wider - width, width), wider - width])
        width = wider
    return stages or [[0]]


def exact_offsets(window: int) -> list[list[int]]:
    """Return offsets for each stage whose sums are 0 to `window - 1`, each once.

    Example:
        >>> exact_offsets(12)
        [[0, 1, 2, 3, 4, 5], [0, 6]]
    """
    stages, width = [], 1
    while width < window:
        rest = window // width
        divisors = [d for d in range(2, rest + 1) if rest % d == 0]
        count = max((d for d in divisors if d <= MOST_OFFSETS), default=divisors[0])
        stages.append([width * i for i in range(count)])
        width *= count
    return stages or [[0]]


def axis_stages(
    windows: PoolWindows, axis: int, offsets: Sequence[Sequence[Size]], mode: str
) -> list[Stage]:
    """Return a stage for each entry of `offsets`, for the windows of one spatial axis.

    After each stage an element represents a larger part of the window. All stages but
    the last compute only the elements that a later one reads: those at multiples of
    `grid` of the input axis.
    """
    stride, dilation = windows.strides[axis], windows.dilation[axis]
    low, high = windows.pairs[axis]
    end = low + windows.sizes[axis]
    filled = (low, end) if mode == "zeros" else (0, end + high)
    stages, grid, reduced = [], 1, (0,)
    for i, stage_offsets in enumerate(offsets):
        later = offsets[i + 1 :]
        coarser = math.gcd(stride, *(dilation * o for rest in later for o in rest))
        last = (windows.out[axis] - 1) * stride + sum(dilation * r[-1] for r in later)
        stage = Stage(
            axis=axis + 1,
            offsets=tuple(dilation * offset // grid for offset in stage_offsets),
            stride=coarser // grid,
            out=last // coarser + 1,
            grid=grid,
            reduced=reduced,
            filled=filled,
        )
        stages.append(stage)
        sums = {r + dilation * offset for r in reduced for offset in stage_offsets}
        grid, reduced = coarser, tuple(sorted(sums))
    return stages


def whole_window_stages(windows: PoolWindows, mode: str) -> tuple[Stage, ...]:
    """Return one stage for each axis, to reduce all elements of a window at once."""
    offsets = [[range(size)] for size in windows.window]
    stages = (axis_stages(windows, a, o, mode) for a, o in enumerate(offsets))
    return tuple(stage for (stage,) in stages)


def padding_masks(ndim: int, *stages: Stage) -> list[Bool[ArrayLike, "..."]]:
    """Return for each slice of `shifted_slices` where it contains only padding.

    The masks broadcast to the slices, which have `ndim` axes. They are NumPy arrays
    unless they depend on symbolic sizes.
    """
    masks = []
    for stage in stages:
        masks.append([_padding_mask(ndim, stage, offset) for offset in stage.offsets])
    combinations = itertools.product(*masks)
    return [functools.reduce(operator.or_, masks) for masks in combinations]


def shifted_slices(x: jax.Array, *stages: Stage) -> list[jax.Array]:
    """Return one slice of `x` for each element of a window.

    With stages of several axes the elements are in row-major order.

    A slice with a stride would transpose to a pad with gaps, so that each element of
    the gradient is a sum over all elements of a window. Here an axis is split by the
    index modulo the stride. That transposes to a concatenation, where each element is
    a sum over the elements of windows that read it.
    """
    parts: dict[tuple[Size, ...], jax.Array] = {(): x}
    for stage in stages:
        parts = {
            (*before, remainder): part
            for before, whole in parts.items()
            for remainder, part in _by_remainder(whole, stage).items()
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


def _by_remainder(x: jax.Array, stage: Stage) -> dict[int, jax.Array]:
    """Return the parts of `x` that a stage reads, by remainder modulo its stride."""
    axis, stride = stage.axis, stage.stride
    blocks = stage.out + stage.offsets[-1] // stride
    x = resize_axis(x, axis, blocks * stride)
    if stride == 1:
        return {0: x}
    read = {offset % stride for offset in stage.offsets}
    cuts = sorted({0, stride, *read, *(remainder + 1 for remainder in read)})
    x = x.reshape((*x.shape[:axis], blocks, stride, *x.shape[axis + 1 :]))
    parts = jax.lax.split(x, np.diff(cuts).tolist(), axis + 1)
    # Parts that are read have size one; the gaps between them may be larger.
    return {
        cut: jax.lax.squeeze(part, (axis + 1,))
        for cut, part in zip(cuts[:-1], parts, strict=True)
        if cut in read
    }


def _padding_mask(ndim: int, stage: Stage, offset: int) -> Bool[ArrayLike, "..."]:
    """Return where the slice at an offset of a stage contains only padding."""
    first, end = stage.filled
    reach = stage.grid * (stage.stride * (stage.out - 1) + offset) + stage.reduced[-1]
    if first == 0 and definitely(lambda: reach < end):
        return np.zeros((1,) * ndim, np.bool_)
    starts = stage.grid * (stage.stride * index_range(stage.out) + offset)
    elements = starts[:, None] + np.asarray(stage.reduced, np.int32)[None]
    shape = [1] * ndim
    shape[stage.axis] = stage.out
    return ((elements < first) | (elements >= end)).all(axis=1).reshape(shape)
