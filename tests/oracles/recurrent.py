"""Recurrence in NumPy float64: one sequence, one step at a time, plain loops."""

import numpy as np


def sigmoid(a):
    return 1.0 / (1.0 + np.exp(-a))


def bound(a, clip):
    return a if clip is None else np.minimum(np.maximum(a, -clip), clip)


def rnn_step(params, h, x_t, *, clip=None):
    w_xh, w_hh, b = params
    h = np.tanh(bound(w_xh.T @ x_t + w_hh.T @ h + b, clip))
    return h, h


def gru_step(params, h, x_t, *, clip=None, reset_after=True):
    w_xh, w_hh, b, b_hn = params
    size = h.size
    blocks = [slice(k * size, (k + 1) * size) for k in range(3)]
    (w_xr, w_xz, w_xn), (w_hr, w_hz, w_hn) = (
        [w[:, block].T for block in blocks] for w in (w_xh, w_hh)
    )
    b_r, b_z, b_n = (b[block] for block in blocks)
    r = sigmoid(bound(w_xr @ x_t + w_hr @ h + b_r, clip))
    z = sigmoid(bound(w_xz @ x_t + w_hz @ h + b_z, clip))
    if reset_after:
        a_n = w_xn @ x_t + b_n + r * (w_hn @ h + b_hn)
    else:
        a_n = w_xn @ x_t + b_n + w_hn @ (r * h) + b_hn
    n = np.tanh(bound(a_n, clip))
    h = (1.0 - z) * n + z * h
    return h, h


def lstm_step(params, state, x_t, *, clip=None, coupled_gates=False):
    w_xh, w_hh, b, peephole, w_hr = params
    h, c = state
    size = c.size
    a_i, a_f, a_g, a_o = (
        w_xh[:, k * size : (k + 1) * size].T @ x_t
        + w_hh[:, k * size : (k + 1) * size].T @ h
        + b[k * size : (k + 1) * size]
        for k in range(4)
    )
    p_i, p_f, p_o = np.zeros((3, size)) if peephole is None else peephole
    i = sigmoid(bound(a_i + p_i * c, clip))
    f = 1.0 - i if coupled_gates else sigmoid(bound(a_f + p_f * c, clip))
    g = np.tanh(bound(a_g, clip))
    c = f * c + i * g
    o = sigmoid(bound(a_o + p_o * c, clip))
    h = o * np.tanh(c)
    if w_hr is not None:
        h = w_hr.T @ h
    return (h, c), h


def run(step, params, x, state, *, lengths=None, resets=None, reverse=False, **cell):
    """Run `x (batch, time, features)` from `state`, a pytree of `(batch, ...)`.

    Only real steps are ever looked at. Returns the final state and the outputs, with
    zeros where there was no step.
    """
    batch, time, _ = x.shape
    pair = isinstance(state, tuple)
    width = (state[0] if pair else state).shape[-1]
    finals, rows = [], []
    for n in range(batch):
        initial = tuple(s[n] for s in state) if pair else state[n]
        current = initial
        outputs = {}
        real = range(time if lengths is None else int(lengths[n]))
        for t in reversed(real) if reverse else real:
            if resets is not None and resets[n, t]:
                current = initial
            current, outputs[t] = step(params, current, x[n, t], **cell)
        rows.append([outputs.get(t, np.zeros(width)) for t in range(time)])
        finals.append(current)
    ys = np.array(rows).reshape(batch, time, -1)
    if pair:
        return tuple(np.stack([f[k] for f in finals]) for k in range(2)), ys
    return np.stack(finals), ys


def slope(function, arrays, directions, width=1e-6):
    """Central difference of a scalar `function` along `directions`."""
    ahead = [a + width * d for a, d in zip(arrays, directions, strict=True)]
    behind = [a - width * d for a, d in zip(arrays, directions, strict=True)]
    return (function(*ahead) - function(*behind)) / (2.0 * width)


def gradient(function, arrays, width=1e-6):
    """Central differences of a scalar `function`, one element at a time."""
    gradients = []
    for k, array in enumerate(arrays):
        slopes = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            direction = [np.zeros_like(a) for a in arrays]
            direction[k][index] = 1.0
            slopes[index] = slope(function, arrays, direction, width)
        gradients.append(slopes)
    return gradients
