"""The values of the gates of a recurrent layer on given sequences."""

import jax
import jax.numpy as jnp

from jaxnets import functional as F


def lstm_gates(params: F.LSTMParams, x: jax.Array) -> tuple[jax.Array, ...]:
    """Return i, f, g, o and c, each `(T, B, H)`, for the input `x (T, B, D)`."""
    zeros = jnp.zeros((x.shape[1], params.w_hh.shape[0]))

    def step(state, x_t):
        following, _ = F.lstm_step(params, state, x_t)
        a = x_t @ params.w_xh + state.h @ params.w_hh + params.b
        i, f, g, o = jnp.split(a, 4, axis=-1)
        gates = (*map(jax.nn.sigmoid, (i, f)), jnp.tanh(g), jax.nn.sigmoid(o))
        return following, (*gates, jnp.asarray(following.c))

    return jax.lax.scan(step, F.LSTMState(zeros, zeros), x)[1]


def gru_gates(params: F.GRUParams, x: jax.Array) -> tuple[jax.Array, ...]:
    """Return r, z, n and h, each `(T, B, H)`, for the input `x (T, B, D)`."""
    zeros = jnp.zeros((x.shape[1], params.w_hh.shape[0]))
    b_hn = 0.0 if params.b_hn is None else params.b_hn

    def step(h, x_t):
        following, _ = F.gru_step(params, h, x_t)
        r, z, n = jnp.split(x_t @ params.w_xh + params.b, 3, axis=-1)
        h_r, h_z, h_n = jnp.split(h @ params.w_hh, 3, axis=-1)
        r, z = jax.nn.sigmoid(r + h_r), jax.nn.sigmoid(z + h_z)
        return following, (r, z, jnp.tanh(n + r * (h_n + b_hn)), following)

    return jax.lax.scan(step, zeros, x)[1]


def min_gru_gates(params: F.MinGRUParams, x: jax.Array) -> tuple[jax.Array, ...]:
    """Return z and h, each `(T, B, H)`, for the input `x (T, B, D)`."""
    z, _ = jnp.split(x @ params.w_xh + params.b, 2, axis=-1)
    return jax.nn.sigmoid(z), F.min_gru(params, x, time_major=True)[1]
