"""Recurrence in NumPy float64, by plain loops over sequences and steps."""

import numpy as np

from tests.oracles import conv as convolution


def sigmoid(a):
    return 1.0 / (1.0 + np.exp(-a))


def bound(a, clip):
    return a if clip is None else np.minimum(np.maximum(a, -clip), clip)


def normalized(a, gain, bias=0.0):
    return (a - a.mean()) / np.sqrt(a.var() + 1e-5) * gain + bias


def rnn_step(params, h, x_t, *, clip=None, layer_norm=None, zoneout=0.0, mask=1.0):
    w_xh, w_hh, b = params
    a = w_xh.T @ x_t + w_hh.T @ (mask * h)
    a = a + b if layer_norm is None else normalized(a, layer_norm.gain_h, b)
    after = np.tanh(bound(a, clip))
    h = zoneout * h + (1 - zoneout) * after
    return h, h


def gru_step(
    params,
    h,
    x_t,
    *,
    clip=None,
    reset_after=True,
    layer_norm=None,
    zoneout=0.0,
    mask=1.0,
):
    w_xh, w_hh, b, b_hn = params
    size = h.size
    gates, candidate = slice(0, 2 * size), slice(2 * size, None)
    norm_x = norm_h = lambda a, columns: a
    if layer_norm is not None:
        norm_x = lambda a, columns: normalized(a, layer_norm.gain_x[columns])
        norm_h = lambda a, columns: normalized(a, layer_norm.gain_h[columns])
    masked_h = mask * h
    a_rz = norm_x(w_xh[:, gates].T @ x_t, gates) + b[gates]
    a_rz = a_rz + norm_h(w_hh[:, gates].T @ masked_h, gates)
    r, z = np.split(sigmoid(bound(a_rz, clip)), 2)
    x_n = norm_x(w_xh[:, candidate].T @ x_t, candidate) + b[candidate]
    w_hn = w_hh[:, candidate]
    if reset_after:
        a_n = x_n + r * (norm_h(w_hn.T @ masked_h, candidate) + b_hn)
    else:
        a_n = x_n + norm_h(w_hn.T @ (r * masked_h), candidate) + b_hn
    n = np.tanh(bound(a_n, clip))
    after = (1.0 - z) * n + z * h
    h = zoneout * h + (1 - zoneout) * after
    return h, h


def lstm_step(
    params,
    state,
    x_t,
    *,
    clip=None,
    coupled_gates=False,
    layer_norm=None,
    zoneout=(0.0, 0.0),
    mask=1.0,
):
    w_xh, w_hh, b, peephole, w_hr = params
    h, before = state
    from_x, from_h = w_xh.T @ x_t, w_hh.T @ (mask * h)
    before_output = lambda c: c
    if layer_norm is not None:
        from_x = normalized(from_x, layer_norm.gain_x)
        from_h = normalized(from_h, layer_norm.gain_h)
        before_output = lambda c: normalized(c, layer_norm.gain_c, layer_norm.bias_c)
    a_i, a_f, a_g, a_o = np.split(from_x + from_h + b, 4)
    p_i, p_f, p_o = np.zeros((3, before.size)) if peephole is None else peephole
    i = sigmoid(bound(a_i + p_i * before, clip))
    f = 1.0 - i if coupled_gates else sigmoid(bound(a_f + p_f * before, clip))
    g = np.tanh(bound(a_g, clip))
    c = f * before + i * g
    o = sigmoid(bound(a_o + p_o * c, clip))
    after = o * np.tanh(before_output(c))
    if w_hr is not None:
        after = w_hr.T @ after
    rate_h, rate_c = zoneout
    h = rate_h * h + (1 - rate_h) * after
    return (h, rate_c * before + (1 - rate_c) * c), h


def positive(a):
    return np.where(a >= 0, a + 0.5, sigmoid(a))


def min_gru_step(params, h, x_t):
    w_xh, b = params
    a_z, a_n = np.split(w_xh.T @ x_t + b, 2)
    z = sigmoid(a_z)
    h = (1.0 - z) * positive(a_n) + z * h
    return h, h


def min_lstm_step(params, h, x_t):
    w_xh, b = params
    a_i, a_f, a_g = np.split(w_xh.T @ x_t + b, 3)
    i, f = sigmoid(a_i), sigmoid(a_f)
    h = f / (f + i) * h + i / (f + i) * positive(a_g)
    return h, h


def same_conv(x, kernel):
    """Convolve `x (*spatial, channels)` with "SAME" padding of zeros."""
    window = kernel.shape[:-2]
    ones = (1,) * len(window)
    pairs = tuple(convolution.same_pads(0, 1, k - 1) for k in window)
    geometry = convolution.Geometry(ones, pairs, ones, ones)
    bias = np.zeros(kernel.shape[-1])
    return convolution.conv(x[None], kernel, bias, geometry, 1)[0]


def conv_lstm_step(params, state, x_t, *, spatial):
    """Compute a step on arrays with flattened spatial axes, as `run` passes them."""
    w_xh, w_hh, b, peephole = params
    size = b.size // 4
    h, before = (s.reshape(*spatial, size) for s in state)
    a = same_conv(x_t.reshape(*spatial, -1), w_xh) + same_conv(h, w_hh) + b
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=-1)
    p_i, p_f, p_o = np.zeros((3, 1)) if peephole is None else peephole
    i, f = sigmoid(a_i + p_i * before), sigmoid(a_f + p_f * before)
    c = f * before + i * np.tanh(a_g)
    h = sigmoid(a_o + p_o * c) * np.tanh(c)
    return (h.reshape(-1), c.reshape(-1)), h.reshape(-1)


def run(
    step,
    params,
    x,
    state,
    *,
    lengths=None,
    resets=None,
    reverse=False,
    dropout_mask=None,
    **cell,
):
    """Run `x (batch, time, features)` from `state`, a pytree of `(batch, ...)`.

    Returns the final state and the outputs. Padding is not read, and outputs there are
    zero.
    """
    batch, time, _ = x.shape
    pair = isinstance(state, tuple)
    width = (state[0] if pair else state).shape[-1]
    finals, rows = [], []
    for n in range(batch):
        initial = tuple(s[n] for s in state) if pair else state[n]
        current = initial
        if dropout_mask is not None:
            cell["mask"] = dropout_mask[n]
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
    """Return the central difference of a scalar `function` along `directions`."""
    ahead = [a + width * d for a, d in zip(arrays, directions, strict=True)]
    behind = [a - width * d for a, d in zip(arrays, directions, strict=True)]
    return (function(*ahead) - function(*behind)) / (2.0 * width)


def gradient(function, arrays, width=1e-6):
    """Return the gradient of a scalar `function` by central differences."""
    gradients = []
    for k, array in enumerate(arrays):
        slopes = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            direction = [np.zeros_like(a) for a in arrays]
            direction[k][index] = 1.0
            slopes[index] = slope(function, arrays, direction, width)
        gradients.append(slopes)
    return gradients
