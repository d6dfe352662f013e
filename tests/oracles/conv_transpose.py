"""Transposed convolution and its gradients by plain loops in float64."""

import itertools

import numpy as np


def contributions(x_shape, kernel_shape, out, strides, low, dilation, groups):
    """Yield the indices of `y`, `x` and `kernel` of every product, group by group."""
    channels, features = kernel_shape[-2], kernel_shape[-1] // groups
    positions = itertools.product(*map(range, x_shape[1:-1]))
    elements = list(itertools.product(*map(range, kernel_shape[:-2])))
    for position, element in itertools.product(positions, elements):
        axes = zip(position, element, strides, dilation, low, strict=True)
        target = tuple(s * t + d * i - crop for t, i, s, d, crop in axes)
        if any(not 0 <= p < n for p, n in zip(target, out, strict=True)):
            continue
        for group in range(groups):
            i = slice(group * channels, (group + 1) * channels)
            o = slice(group * features, (group + 1) * features)
            yield (
                (slice(None), *target, o),
                (slice(None), *position, i),
                (*element, slice(None), o),
            )


def conv_transpose(x, kernel, bias, out, strides, low, dilation, groups):
    """Add a multiple of the kernel for each element of `x (batch, *spatial, C)`."""
    y = np.zeros((x.shape[0], *out, kernel.shape[-1])) + bias
    options = (out, strides, low, dilation, groups)
    for at_y, at_x, at_kernel in contributions(x.shape, kernel.shape, *options):
        y[at_y] += x[at_x] @ kernel[at_kernel]
    return y


def conv_transpose_adjoints(x, kernel, dy, strides, low, dilation, groups):
    """The gradients of `sum(dy * conv_transpose(...))` by `x`, `kernel` and `bias`."""
    dx, dkernel = np.zeros(x.shape), np.zeros(kernel.shape)
    options = (dy.shape[1:-1], strides, low, dilation, groups)
    for at_y, at_x, at_kernel in contributions(x.shape, kernel.shape, *options):
        dx[at_x] += dy[at_y] @ kernel[at_kernel].T
        dkernel[at_kernel] += x[at_x].T @ dy[at_y]
    return dx, dkernel, dy.reshape(-1, dy.shape[-1]).sum(0)
