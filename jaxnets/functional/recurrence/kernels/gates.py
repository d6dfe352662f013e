"""One step of the standard cells, and its pullback, as the kernels compute them.

Both work on the blocks of the pre-activations of one step, one for each gate, in
float32. They are elementwise, so the blocks may be `(B, H)`, as on a TPU, or `(H, B)`,
as on a GPU. The products with `w_hh` are not part of them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp


# The number of gates of each cell: the blocks of columns of `w_xh` and `w_hh`.
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# The number of arrays in the state of each cell.
STATES = {"rnn": 1, "gru": 1, "lstm": 2}
# The blocks of the pre-activations that depend on the state: of the GRU's a_r, a_z, a_n
# and a_hn all but a_n.
THROUGH_W_HH = {"rnn": (0,), "gru": (0, 1, 3), "lstm": (0, 1, 2, 3)}

Blocks = Sequence[jax.Array]


class Activations(NamedTuple):
    """How a kernel computes the sigmoid and the hyperbolic tangent."""

    sigmoid: Callable[[jax.Array], jax.Array]
    tanh: Callable[[jax.Array], jax.Array]


_OF_JAX = Activations(jax.nn.sigmoid, jnp.tanh)


def next_state(
    cell: str,
    from_x: Blocks,
    from_h: Blocks,
    state: Blocks,
    by: Activations = _OF_JAX,
) -> tuple[jax.Array, ...]:
    """Return the state after a step.

    Args:
        cell: "rnn", "gru" or "lstm".
        from_x: The blocks of `x_t @ w_xh + b`.
        from_h: The blocks of `h @ w_hh`; the GRU's last one includes `b_hn`.
        state: The state before the step: h, and for the LSTM c.
        by: The activations.
    """
    a = [x + h for x, h in zip(from_x, from_h, strict=True)]
    if cell == "rnn":
        return (by.tanh(a[0]),)
    if cell == "gru":
        r, z = by.sigmoid(a[0]), by.sigmoid(a[1])
        n = by.tanh(from_x[2] + r * from_h[2])
        return ((1.0 - z) * n + z * state[0],)
    i, f, o = (by.sigmoid(a[k]) for k in (0, 1, 3))
    c = f * state[1] + i * by.tanh(a[2])
    return o * by.tanh(c), c


def pull_back_step(
    cell: str,
    a: Blocks,
    before: jax.Array | None,
    ct: Blocks,
    by: Activations = _OF_JAX,
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    """Return the cotangents of the pre-activations, and of the state beside `w_hh`.

    Args:
        cell: "rnn", "gru" or "lstm".
        a: The blocks of the pre-activations; those of the GRU are a_r, a_z, the part of
            n that depends on `x_t`, and a_hn.
        before: The GRU's h or the LSTM's c before the step; None for the RNN.
        ct: The cotangents of the state after the step.
        by: The activations.

    Returns:
        The cotangents of `a`, and the part of the cotangents of the state before the
        step that does not pass through `w_hh`.
    """
    if cell == "rnn":
        h = by.tanh(a[0])
        ct_a = ct[0] * (1.0 - h * h)
        return (ct_a,), (jnp.zeros_like(ct_a),)
    assert before is not None  # the other two cells need it
    if cell == "gru":
        r, z = by.sigmoid(a[0]), by.sigmoid(a[1])
        n = by.tanh(a[2] + r * a[3])
        ct_n = ct[0] * (1.0 - z) * (1.0 - n * n)
        ct_r = ct_n * a[3] * r * (1.0 - r)
        ct_z = ct[0] * (before - n) * z * (1.0 - z)
        return (ct_r, ct_z, ct_n, ct_n * r), (ct[0] * z,)
    i, f, o = (by.sigmoid(a[k]) for k in (0, 1, 3))
    g = by.tanh(a[2])
    tanh_c = by.tanh(f * before + i * g)
    ct_h, ct_c = ct[0], ct[1] + ct[0] * o * (1.0 - tanh_c * tanh_c)
    ct_a = (
        ct_c * g * i * (1.0 - i),
        ct_c * before * f * (1.0 - f),
        ct_c * i * (1.0 - g * g),
        ct_h * tanh_c * o * (1.0 - o),
    )
    return ct_a, (jnp.zeros_like(ct_h), ct_c * f)
