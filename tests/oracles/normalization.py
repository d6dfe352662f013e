"""Batch normalisation by plain loops in float64, from the definition."""

import itertools
import math

import numpy as np


def batch_norm(x, scale, bias, epsilon):
    """Return `(y, mean, var)` with the statistics of the batch."""
    x = np.asarray(x, np.float64)
    y = np.zeros_like(x)
    mean, var = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    for c in range(x.shape[-1]):
        indices = [(*n, c) for n in itertools.product(*map(range, x.shape[:-1]))]
        mean[c] = math.fsum(x[at] for at in indices) / max(len(indices), 1)
        squares = [(x[at] - mean[c]) ** 2 for at in indices]
        var[c] = math.fsum(squares) / max(len(indices), 1)
        for at in indices:
            normal = (x[at] - mean[c]) / math.sqrt(var[c] + epsilon)
            y[at] = scale[c] * normal + bias[c]
    return y, mean, var


def gradients(x, scale, epsilon, cotangents):
    """Return the gradients of x, scale and bias for cotangents of `(y, mean, var)`.

    They follow by the chain rule from every pair of elements, without the closed form.
    """
    x = np.asarray(x, np.float64)
    dy, dmean, dvar = cotangents
    _, mean, var = batch_norm(x, scale, np.zeros_like(scale), epsilon)
    dx, dscale, dbias = np.zeros_like(x), np.zeros(len(scale)), np.zeros(len(scale))
    for c in range(x.shape[-1]):
        indices = [(*n, c) for n in itertools.product(*map(range, x.shape[:-1]))]
        rstd = 1 / math.sqrt(var[c] + epsilon)
        for at in indices:
            dscale[c] += dy[at] * (x[at] - mean[c]) * rstd
            dbias[c] += dy[at]
        for to in indices:
            # The derivatives of the statistics by x[to].
            mean_slope = 1 / len(indices)
            var_slope = 2 * (x[to] - mean[c]) / len(indices)
            dx[to] = dmean[c] * mean_slope + dvar[c] * var_slope
            for at in indices:
                slope = ((at == to) - mean_slope) * rstd
                slope -= 0.5 * (x[at] - mean[c]) * rstd**3 * var_slope
                dx[to] += dy[at] * scale[c] * slope
    return dx, dscale, dbias
