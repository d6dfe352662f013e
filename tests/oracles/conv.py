"""Convolution in float64 with plain loops, and its adjoints, with loops too."""

import itertools
from typing import NamedTuple

import numpy as np


class Geometry(NamedTuple):
    """One entry per spatial axis, and what the padding holds."""

    strides: tuple
    pairs: tuple
    input_dilation: tuple
    kernel_dilation: tuple
    mode: str = "zeros"


def same_pads(size, stride, reach, lower=False):
    """Pads for an output of `ceil(size / stride)`; `reach` is d * (k - 1)."""
    places = -(-size // stride)
    total = max((places - 1) * stride + reach + 1 - size, 0)
    less, more = total // 2, total - total // 2
    return (more, less) if lower else (less, more)


def source_index(position, size, mode):
    """Where in an axis of `size` a padded position reads, or None for a zero."""
    if 0 <= position < size:
        return position
    if mode == "zeros":
        return None
    if mode == "replicate":
        return 0 if position < 0 else size - 1
    if mode == "circular":
        return position % size
    if mode == "symmetric":
        return -1 - position if position < 0 else 2 * size - 1 - position
    return -position if position < 0 else 2 * size - 2 - position


def axis_taps(size, window, stride, pair, gap, dilation, mode):
    """Count the places of one axis and list its `(place, tap, source)`."""
    dilated = (size - 1) * gap + 1
    places = (dilated + sum(pair) - dilation * (window - 1) - 1) // stride + 1
    found = []
    for place in range(places):
        for tap in range(window):
            position = stride * place + dilation * tap - pair[0]
            source = source_index(position, dilated, mode)
            if source is not None and source % gap == 0:
                found.append((place, tap, source // gap))
    return places, found


def taps_per_axis(x, kernel, geometry):
    *per_axis, mode = geometry
    axes = zip(x.shape[1:-1], kernel.shape[:-2], *per_axis, strict=True)
    return [axis_taps(n, k, s, p, g, d, mode) for n, k, s, p, g, d in axes]


def products(x, kernel, geometry, groups):
    """Yield the indices `(y, x, kernel)` of each group at each place and tap."""
    channels, features = kernel.shape[-2], kernel.shape[-1] // groups
    lists = [found for _, found in taps_per_axis(x, kernel, geometry)]
    for combination in itertools.product(*lists):
        place, tap, source = zip(*combination, strict=True)
        for b, group in itertools.product(range(x.shape[0]), range(groups)):
            i = slice(group * channels, (group + 1) * channels)
            o = slice(group * features, (group + 1) * features)
            yield (b, *place, o), (b, *source, i), (*tap, slice(None), o)


def conv(x, kernel, bias, geometry, groups):
    """Convolve `x (batch, *spatial, channels)`."""
    places = [count for count, _ in taps_per_axis(x, kernel, geometry)]
    y = np.zeros((x.shape[0], *places, kernel.shape[-1])) + bias
    for at_y, at_x, at_kernel in products(x, kernel, geometry, groups):
        y[at_y] += x[at_x] @ kernel[at_kernel]
    return y


def conv_adjoints(x, kernel, dy, geometry, groups):
    """Differentiate `sum(dy * conv(x, kernel, bias))` by `x`, `kernel` and `bias`."""
    dx, dkernel = np.zeros(x.shape), np.zeros(kernel.shape)
    for at_y, at_x, at_kernel in products(x, kernel, geometry, groups):
        dx[at_x] += kernel[at_kernel] @ dy[at_y]
        dkernel[at_kernel] += np.outer(x[at_x], dy[at_y])
    return dx, dkernel, dy.reshape(-1, dy.shape[-1]).sum(0)
