"""The definitions of the instruments' results, in NumPy float64 with plain loops."""

import math

import jax
import numpy as np


def tanh_rnn_jacobians(w_hh, h, inputs):
    """`dh_t / dh_{t-1}` of `h_t = tanh(h_{t-1} w_hh + u_t)` for every step."""
    jacobians = []
    for u_t in inputs:
        h = np.tanh(h @ w_hh + u_t)
        jacobians.append((w_hh * (1 - h**2)).T)
    return jacobians


def log_adjoint_norms(jacobians, cotangent):
    """Renormalised backpropagation: the logarithm of the norm after every step."""
    logs = [math.log(np.linalg.norm(cotangent))]
    unit = cotangent / np.linalg.norm(cotangent)
    for jacobian in reversed(jacobians[1:]):
        unit = jacobian.T @ unit
        logs.append(logs[-1] + math.log(np.linalg.norm(unit)))
        unit = unit / np.linalg.norm(unit)
    return np.array(logs[::-1])


def lyapunov_spectrum(jacobians, count):
    """Lyapunov exponents, by Gram-Schmidt orthonormalisation at every step."""
    size = len(jacobians[0])
    directions = np.random.default_rng(5).normal(size=(size, count))
    totals = np.zeros(count)
    for jacobian in jacobians:
        directions = jacobian @ directions
        for i in range(count):
            for j in range(i):
                overlap = directions[:, j] @ directions[:, i]
                directions[:, i] -= overlap * directions[:, j]
            length = np.linalg.norm(directions[:, i])
            totals[i] += math.log(length)
            directions[:, i] /= length
    return totals / len(jacobians)


def mean_pairwise_cosine(gradients):
    rows = [np.ravel(g).astype(np.float64) for g in gradients]
    cosines = []
    for i in range(len(rows)):
        for j in range(i):
            lengths = np.linalg.norm(rows[i]) * np.linalg.norm(rows[j])
            cosines.append(rows[i] @ rows[j] / lengths if lengths else 0.0)
    return sum(cosines) / len(cosines)


def path_length(branches, cotangent):
    """Mean path length in a linear residual network, summed over all 2^n paths."""
    by_length = np.zeros((len(branches) + 1, len(cotangent)))
    for path in range(2 ** len(branches)):
        gradient, length = cotangent, 0
        for block, weights in enumerate(branches):
            if path >> block & 1:
                gradient, length = weights.T @ gradient, length + 1
        by_length[length] += gradient
    total = by_length.sum(axis=0)
    return sum(k * (g @ total) for k, g in enumerate(by_length)) / (total @ total)


def gaussian_mean(function, variance):
    """`E f(sqrt(variance) z)` by the trapezoidal rule on a fine grid."""
    z = np.linspace(-9, 9, 20_001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.trapezoid(function(math.sqrt(variance) * z) * density, z)


def conv_border_fraction(size, window):
    """Count the elements of a SAME window inside the image, over all positions."""
    below = (window - 1) // 2
    inside = 0
    for position in range(size):
        for offset in range(window):
            inside += 0 <= position + offset - below < size
    return inside / (size * window)


def adjoint_parts(jacobians, direct_jacobians, cotangent):
    """Adjoints over all paths and over the direct path alone, after every step."""
    total, direct = [cotangent], [cotangent]
    for jacobian, direct_t in zip(
        jacobians[:0:-1], direct_jacobians[:0:-1], strict=True
    ):
        total.append(jacobian.T @ total[-1])
        direct.append(direct_t.T @ direct[-1])
    return np.array(total[::-1]), np.array(direct[::-1])


def lstm_jacobians(params, h, c, xs):
    """`d(h_t, c_t) / d(h_{t-1}, c_{t-1})` of an LSTM: whole, and with fixed gates.

    Rows and columns are h, then c.
    """
    w_xh, w_hh, b = (np.asarray(p, np.float64) for p in params)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    w_i, w_f, w_g, w_o = np.split(w_hh, 4, axis=1)
    whole, direct = [], []
    for x in xs:
        a_i, a_f, a_g, a_o = np.split(x @ w_xh + h @ w_hh + b, 4)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c_by_h = (
            np.diag(g * i * (1 - i)) @ w_i.T
            + np.diag(c * f * (1 - f)) @ w_f.T
            + np.diag(i * (1 - g**2)) @ w_g.T
        )
        c = f * c + i * g
        out = np.diag(o * (1 - np.tanh(c) ** 2))
        h_by_h = out @ c_by_h + np.diag(np.tanh(c) * o * (1 - o)) @ w_o.T
        h = o * np.tanh(c)
        forget, none = np.diag(f), np.zeros((len(c), len(c)))
        whole.append(np.block([[h_by_h, out @ forget], [c_by_h, forget]]))
        direct.append(np.block([[none, out @ forget], [none, forget]]))
    return whole, direct


def arc_cosine_kernels(c):
    """Cho and Saul 2009: `2 E[a(u_1) a(u_2)]` at unit variance, degree 0 (step), 1."""
    angle = np.arccos(c)
    step = 1 - angle / math.pi
    return step, (math.sin(angle) + (math.pi - angle) * c) / math.pi


def adjoint(layers, x, direct):
    """Cotangents of `y_k = layers[k](y_{k-1})`, with one vjp for each layer.

    `direct[k]` is the derivative of the loss by `y_k` that does not pass through
    `y_{k+1}`. All arrays may be pytrees.
    """
    pullbacks = []
    for layer in layers:
        x, pullback = jax.vjp(layer, x)
        pullbacks.append(pullback)
    cotangents = [direct[-1]]
    for k in range(len(layers) - 1, 0, -1):
        (through,) = pullbacks[k](cotangents[-1])
        cotangents.append(jax.tree.map(lambda a, b: a + b, through, direct[k - 1]))
    return cotangents[::-1]
