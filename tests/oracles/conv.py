"""Convolution and its gradients by plain loops in float64."""

import itertools
from typing import NamedTuple

import numpy as np


class Geometry(NamedTuple):
    """Options with one entry per spatial axis, and the padding mode."""

    strides: tuple
    pairs: tuple
    input_dilation: tuple
    kernel_dilation: tuple
    mode: str = "zeros"


def same_pads(size, stride, reach, lower=False):
    """Pads for an output of `ceil(size / stride)`; `reach` is d * (k - 1)."""
    positions = -(-size // stride)
    total = max((positions - 1) * stride + reach + 1 - size, 0)
    less, more = total // 2, total - total // 2
    return (more, less) if lower else (less, more)


def source_index(index, size, mode):
    """The index of `x` that a padded axis reads at `index`; None for a zero."""
    if 0 <= index < size:
        return index
    if mode == "zeros":
        return None
    if mode == "replicate":
        return 0 if index < 0 else size - 1
    if mode == "circular":
        return index % size
    if mode == "symmetric":
        return -1 - index if index < 0 else 2 * size - 1 - index
    return -index if index < 0 else 2 * size - 2 - index


def axis_reads(size, window, stride, pair, gap, dilation, mode):
    """Count the positions of a window, and list its `(position, element, source)`."""
    dilated = (size - 1) * gap + 1
    positions = (dilated + sum(pair) - dilation * (window - 1) - 1) // stride + 1
    reads = []
    for position in range(positions):
        for element in range(window):
            index = stride * position + dilation * element - pair[0]
            source = source_index(index, dilated, mode)
            if source is not None and source % gap == 0:
                reads.append((position, element, source // gap))
    return positions, reads


def reads_per_axis(x, kernel, geometry):
    *per_axis, mode = geometry
    axes = zip(x.shape[1:-1], kernel.shape[:-2], *per_axis, strict=True)
    return [axis_reads(n, k, s, p, g, d, mode) for n, k, s, p, g, d in axes]


def products(x, kernel, geometry, groups):
    """Yield the indices of `y`, `x` and `kernel` of every product, group by group."""
    channels, features = kernel.shape[-2], kernel.shape[-1] // groups
    lists = [reads for _, reads in reads_per_axis(x, kernel, geometry)]
    for combination in itertools.product(*lists):
        position, element, source = zip(*combination, strict=True)
        for b, group in itertools.product(range(x.shape[0]), range(groups)):
            i = slice(group * channels, (group + 1) * channels)
            o = slice(group * features, (group + 1) * features)
            yield (b, *position, o), (b, *source, i), (*element, slice(None), o)


def conv(x, kernel, bias, geometry, groups):
    """Convolve `x (batch, *spatial, channels)`."""
    out = [positions for positions, _ in reads_per_axis(x, kernel, geometry)]
    y = np.zeros((x.shape[0], *out, kernel.shape[-1])) + bias
    for at_y, at_x, at_kernel in products(x, kernel, geometry, groups):
        y[at_y] += x[at_x] @ kernel[at_kernel]
    return y


def conv_adjoints(x, kernel, dy, geometry, groups):
    """The gradients of `sum(dy * conv(...))` by `x`, `kernel` and `bias`."""
    dx, dkernel = np.zeros(x.shape), np.zeros(kernel.shape)
    for at_y, at_x, at_kernel in products(x, kernel, geometry, groups):
        dx[at_x] += kernel[at_kernel] @ dy[at_y]
        dkernel[at_kernel] += np.outer(x[at_x], dy[at_y])
    return dx, dkernel, dy.reshape(-1, dy.shape[-1]).sum(0)
