"""Convolution in float64 with plain loops, and its two adjoints, also with loops."""

import itertools

import numpy as np


def same_pads(size, stride, reach, lower=False):
    """Pads that make the output `ceil(size / stride)` long; `reach` is d * (k - 1)."""
    places = -(-size // stride)
    total = max((places - 1) * stride + reach + 1 - size, 0)
    return (total - total // 2, total // 2) if lower else (total // 2, total - total // 2)


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


def taps(sizes, window, strides, pairs, mode, input_dilation, kernel_dilation):
    """Yield `(place, kernel position, input position)` of every product that counts."""
    dilated = [(n - 1) * g + 1 for n, g in zip(sizes, input_dilation)]
    places = [
        (n + low + high - d * (k - 1) - 1) // s + 1
        for n, (low, high), k, s, d in zip(
            dilated, pairs, window, strides, kernel_dilation
        )
    ]
    for place in itertools.product(*map(range, places)):
        for tap in itertools.product(*map(range, window)):
            source = []
            for axis in range(len(window)):
                position = (
                    strides[axis] * place[axis]
                    + kernel_dilation[axis] * tap[axis]
                    - pairs[axis][0]
                )
                index = source_index(position, dilated[axis], mode)
                if index is None or index % input_dilation[axis]:
                    break
                source.append(index // input_dilation[axis])
            else:
                yield place, tap, tuple(source)


def geometry(x, kernel, strides, pairs, input_dilation, kernel_dilation):
    """The output's spatial sizes."""
    return tuple(
        ((n - 1) * g + 1 + low + high - d * (k - 1) - 1) // s + 1
        for n, (low, high), k, s, g, d in zip(
            x.shape[1:-1], pairs, kernel.shape, strides, input_dilation, kernel_dilation
        )
    )


def conv(x, kernel, bias, strides, pairs, mode, input_dilation, kernel_dilation, groups):
    """`x (batch, *spatial, channels)`, everything else one entry per axis."""
    out = geometry(x, kernel, strides, pairs, input_dilation, kernel_dilation)
    channels, features = kernel.shape[-2], kernel.shape[-1] // groups
    y = np.zeros((x.shape[0], *out, kernel.shape[-1]))
    y += bias
    for place, tap, source in taps(
        x.shape[1:-1], kernel.shape[:-2], strides, pairs, mode, input_dilation,
        kernel_dilation,
    ):  # fmt: skip
        for group in range(groups):
            i = slice(group * channels, (group + 1) * channels)
            o = slice(group * features, (group + 1) * features)
            for b in range(x.shape[0]):
                y[(b, *place, o)] += x[(b, *source, i)] @ kernel[(*tap, slice(None), o)]
    return y


def conv_adjoints(
    x, kernel, dy, strides, pairs, mode, input_dilation, kernel_dilation, groups
):
    """`sum(dy * conv(x, kernel, bias))` differentiated by `x`, `kernel` and `bias`."""
    dx, dkernel = np.zeros(x.shape), np.zeros(kernel.shape)
    channels, features = kernel.shape[-2], kernel.shape[-1] // groups
    for place, tap, source in taps(
        x.shape[1:-1], kernel.shape[:-2], strides, pairs, mode, input_dilation,
        kernel_dilation,
    ):  # fmt: skip
        for group in range(groups):
            i = slice(group * channels, (group + 1) * channels)
            o = slice(group * features, (group + 1) * features)
            weights = kernel[(*tap, slice(None), o)]
            for b in range(x.shape[0]):
                g = dy[(b, *place, o)]
                dx[(b, *source, i)] += weights @ g
                dkernel[(*tap, slice(None), o)] += np.outer(x[(b, *source, i)], g)
    return dx, dkernel, dy.reshape(-1, dy.shape[-1]).sum(0)
