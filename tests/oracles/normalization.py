"""Batch normalisation by plain loops in float64, from the definition alone."""

import itertools
import math

import numpy as np


def batch_norm(x, scale, bias, epsilon):
    """Return `(y, mean, var)` with the statistics of the batch."""
    x = np.asarray(x, np.float64)
    y = np.zeros_like(x)
    mean, var = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    for c in range(x.shape[-1]):
        places = [(*n, c) for n in itertools.product(*map(range, x.shape[:-1]))]
        mean[c] = math.fsum(x[place] for place in places) / max(len(places), 1)
        squares = [(x[place] - mean[c]) ** 2 for place in places]
        var[c] = math.fsum(squares) / max(len(places), 1)
        for place in places:
            normal = (x[place] - mean[c]) / math.sqrt(var[c] + epsilon)
            y[place] = scale[c] * normal + bias[c]
    return y, mean, var


def gradients(x, scale, epsilon, cotangents):
    """Return what the cotangents of `(y, mean, var)` give back to x, scale and bias.

    By the chain rule through every pair of places, without using that sums cancel.
    """
    x = np.asarray(x, np.float64)
    dy, dmean, dvar = cotangents
    _, mean, var = batch_norm(x, scale, np.zeros_like(scale), epsilon)
    dx, dscale, dbias = np.zeros_like(x), np.zeros(len(scale)), np.zeros(len(scale))
    for c in range(x.shape[-1]):
        places = [(*n, c) for n in itertools.product(*map(range, x.shape[:-1]))]
        rstd = 1 / math.sqrt(var[c] + epsilon)
        for place in places:
            dscale[c] += dy[place] * (x[place] - mean[c]) * rstd
            dbias[c] += dy[place]
        for to in places:
            # How the statistics move with x[to].
            mean_slope = 1 / len(places)
            var_slope = 2 * (x[to] - mean[c]) / len(places)
            dx[to] = dmean[c] * mean_slope + dvar[c] * var_slope
            for place in places:
                slope = ((place == to) - mean_slope) * rstd
                slope -= 0.5 * (x[place] - mean[c]) * rstd**3 * var_slope
                dx[to] += dy[place] * scale[c] * slope
    return dx, dscale, dbias
