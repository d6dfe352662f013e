"""One step of each cell and its derivative, on blocks of units by sequences.

The arrays are `(units, sequences)` in float32, in the registers of a warpgroup. `x` are
the parts of the pre-activations that come from the input, `from_h` those that come from
the state, with a block for each gate.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp


GATES = {"rnn": 1, "gru": 3, "lstm": 4}
type Blocks = tuple[jax.Array, ...]


class Activations(NamedTuple):
    """The sigmoid and the hyperbolic tangent, and if the compiler may approximate."""

    sigmoid: Callable[[jax.Array], jax.Array]
    tanh: Callable[[jax.Array], jax.Array]

    @staticmethod
    def for_dtype(dtype: jax.typing.DTypeLike) -> "Activations":
        """Return those whose error is below that of products of `dtype`.

        The hardware's tanh has a relative error of 2^-11, which is below the rounding
        of bfloat16. For float32 both are made of exponentials.
        """
        if dtype == jnp.bfloat16:
            return Activations(lambda x: 0.5 * jnp.tanh(0.5 * x) + 0.5, jnp.tanh)
        sigmoid = lambda x: 1.0 / (1.0 + jnp.exp(-x))
        return Activations(sigmoid, lambda x: 2.0 * sigmoid(2.0 * x) - 1.0)


def step(
    cell: str,
    x: Sequence[jax.Array],
    from_h: Sequence[jax.Array],
    state: Blocks,
    by: Activations,
) -> Blocks:
    """Return the state after a step; the GRU's last `from_h` includes `b_hn`."""
    sums = lambda count: [x[k] + from_h[k] for k in range(count)]
    if cell == "rnn":
        return (by.tanh(x[0] + from_h[0]),)
    if cell == "gru":
        r, z = (by.sigmoid(a) for a in sums(2))
        n = by.tanh(x[2] + r * from_h[2])
        return ((1.0 - z) * n + z * state[0],)
    a_i, a_f, a_g, a_o = sums(4)
    c = by.sigmoid(a_f) * state[1] + by.sigmoid(a_i) * by.tanh(a_g)
    return by.sigmoid(a_o) * by.tanh(c), c


def step_back(
    cell: str,
    pre: Sequence[jax.Array],
    before: jax.Array | None,
    ct_state: Blocks,
    by: Activations,
) -> tuple[Blocks, Blocks]:
    """Return the cotangents of the pre-activations and, in part, of the state before.

    Args:
        cell: The cell.
        pre: The pre-activations; the GRU's are those of r, of z, and of n from the
            input and from the state.
        before: The GRU's `h` or the LSTM's `c` before the step.
        ct_state: The cotangents of the state after it.
        by: The activations.

    Returns:
        The cotangents of the pre-activations, first those which `w_hh` multiplies: the
        GRU's of n from the input is last. Then the cotangents of the state before, to
        which the products with `w_hh` must be added.
    """
    if cell == "rnn":
        h = by.tanh(pre[0])
        return (ct_state[0] * (1.0 - h * h),), (jnp.zeros_like(h),)
    if cell == "gru":
        return _gru_back(pre, before, ct_state[0], by)
    return _lstm_back(pre, before, ct_state, by)


def _gru_back(pre, before, ct_h, by):
    a_r, a_z, x_n, h_n = pre
    r, z = by.sigmoid(a_r), by.sigmoid(a_z)
    n = by.tanh(x_n + r * h_n)
    ct_z = ct_h * (before - n) * z * (1.0 - z)
    ct_n = ct_h * (1.0 - z) * (1.0 - n * n)
    ct_r = ct_n * h_n * r * (1.0 - r)
    return (ct_r, ct_z, ct_n * r, ct_n), (ct_h * z,)


def _lstm_back(pre, before, ct_state, by):
    a_i, a_f, a_g, a_o = pre
    i, f, o = by.sigmoid(a_i), by.sigmoid(a_f), by.sigmoid(a_o)
    g = by.tanh(a_g)
    tanh_c = by.tanh(f * before + i * g)
    ct_h, ct_c = ct_state
    ct_c = ct_c + ct_h * o * (1.0 - tanh_c * tanh_c)
    ct_i = ct_c * g * i * (1.0 - i)
    ct_f = ct_c * before * f * (1.0 - f)
    ct_g = ct_c * i * (1.0 - g * g)
    ct_o = ct_h * tanh_c * o * (1.0 - o)
    return (ct_i, ct_f, ct_g, ct_o), (jnp.zeros_like(ct_h), ct_c * f)
