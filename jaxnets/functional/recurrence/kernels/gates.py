"""One step of the standard cells, and its pullback, as the kernels compute them.

Both work on the blocks of the pre-activations of one step, each `(B, H)` in float32, so
they are the same on every chip. The products with `w_hh` are not part of them.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


# The blocks of columns of `w_xh` and `w_hh`, which are the gates of each cell.
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# The arrays of the state of each cell.
STATES = {"rnn": 1, "gru": 1, "lstm": 2}

Blocks = Sequence[jax.Array]


def next_state(
    cell: str, from_x: Blocks, from_h: Blocks, b_h: jax.Array | None, state: Blocks
) -> tuple[jax.Array, ...]:
    """Return the state after a step.

    Args:
        cell: "rnn", "gru" or "lstm".
        from_x: The blocks of `x_t @ w_xh + b`.
        from_h: The blocks of `h @ w_hh`.
        b_h: The GRU's `b_hn (1, H)`, or None.
        state: The state before the step: h, and for the LSTM c.
    """
    a = [x + h for x, h in zip(from_x, from_h, strict=True)]
    if cell == "rnn":
        return (jnp.tanh(a[0]),)
    if cell == "gru":
        a_hn = from_h[2] if b_h is None else from_h[2] + b_h
        r, z = jax.nn.sigmoid(a[0]), jax.nn.sigmoid(a[1])
        n = jnp.tanh(from_x[2] + r * a_hn)
        return ((1 - z) * n + z * state[0],)
    i, f, o = (jax.nn.sigmoid(a[k]) for k in (0, 1, 3))
    c = f * state[1] + i * jnp.tanh(a[2])
    return o * jnp.tanh(c), c


def pull_back_step(
    cell: str, a: Blocks, before: jax.Array | None, ct: Blocks
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    """Return the cotangents of the pre-activations, and of the state beside `w_hh`.

    Args:
        cell: "rnn", "gru" or "lstm".
        a: The blocks of the pre-activations; those of the GRU are a_r, a_z, the part of
            n that depends on `x_t`, and a_hn.
        before: The GRU's h or the LSTM's c before the step; None for the RNN.
        ct: The cotangents of the state after the step.

    Returns:
        The cotangents of `a`, and the part of the cotangents of the state before the
        step that does not pass through `w_hh`.
    """
    if cell == "rnn":
        h = jnp.tanh(a[0])
        ct_a = ct[0] * (1 - h * h)
        return (ct_a,), (jnp.zeros_like(ct_a),)
    assert before is not None  # the other two cells need it
    if cell == "gru":
        r, z = jax.nn.sigmoid(a[0]), jax.nn.sigmoid(a[1])
        n = jnp.tanh(a[2] + r * a[3])
        ct_n = ct[0] * (1 - z) * (1 - n * n)
        ct_r = ct_n * a[3] * r * (1 - r)
        ct_z = ct[0] * (before - n) * z * (1 - z)
        return (ct_r, ct_z, ct_n, ct_n * r), (ct[0] * z,)
    i, f, o = (jax.nn.sigmoid(a[k]) for k in (0, 1, 3))
    g = jnp.tanh(a[2])
    tanh_c = jnp.tanh(f * before + i * g)
    ct_h, ct_c = ct[0], ct[1] + ct[0] * o * (1 - tanh_c * tanh_c)
    ct_a = (
        ct_c * g * i * (1 - i),
        ct_c * before * f * (1 - f),
        ct_c * i * (1 - g * g),
        ct_h * tanh_c * o * (1 - o),
    )
    return ct_a, (jnp.zeros_like(ct_h), ct_c * f)
