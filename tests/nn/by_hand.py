"""The formula of a block of two convolutions, in NumPy float64."""

import numpy as np

from tests.oracles.conv import Geometry, conv, same_pads


def convolve(x, weights, stride):
    """Convolve with 3 x 3 kernels, SAME padding."""
    kernel, bias = weights
    pairs = tuple(same_pads(size, stride, 2) for size in x.shape[1:3])
    geometry = Geometry((stride, stride), pairs, (1, 1), (1, 1))
    return conv(x, kernel, bias, geometry, 1)


def normalise(x, scale_and_bias):
    """BatchNorm with the statistics of the batch; None leaves `x`."""
    if scale_and_bias is None:
        return x
    scale, bias = scale_and_bias
    mean = x.mean((0, 1, 2))
    variance = ((x - mean) ** 2).mean((0, 1, 2))
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + bias


def relu(x):
    return np.maximum(x, 0.0)


def branch(x, weights, norms, stride, order="post", f=relu):
    """`F(x)` of one or two convolutions, with norm and activation in some order."""
    for number, (pair, norm) in enumerate(zip(weights, norms, strict=True)):
        if order == "pre":
            x = f(normalise(x, norm))
        elif number:
            x = f(x)
        x = convolve(x, pair, 1 if number else stride)
        if order != "pre":
            x = normalise(x, norm)
    return f(x) if order == "inner" else x


def shortcut(x, stride, features):
    """Option A: every n-th position, zeros in the new channels."""
    batch, height, width, channels = x.shape
    y = np.zeros((batch, -(-height // stride), -(-width // stride), features))
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            y[:, row, column, :channels] = x[:, stride * row, stride * column]
    return y
