"""The weights of a gated recurrent unit, and their initial values."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxnets.functional.recurrence.arguments import check_shape, check_weights
from jaxnets.functional.recurrence.initializers import (
    Initializer,
    check_init,
    init_gates,
    input_default,
    recurrent_default,
)
from jaxnets.typing import ArrayLike, Key


GRU_GATES = ("r", "z", "n")


class GRUParams(NamedTuple):
    """Weights of a gated recurrent unit, columns in the order r, z, n.

    Attributes:
        w_xh: Weights of the input `(D, 3*H)`: `x_t @ w_xh`.
        w_hh: Weights of the state `(H, 3*H)`: `h_{t-1} @ w_hh`.
        b: Biases `(3*H,)`.
        b_hn: Bias of the product `h @ w_hn` in the candidate `(H,)`; None means no
            bias.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_gru
        >>> jax.tree.map(lambda w: w.shape, init_gru(jax.random.key(0), 4, 3))
        GRUParams(w_xh=(4, 9), w_hh=(3, 9), b=(9,), b_hn=(3,))
    """

    w_xh: ArrayLike
    w_hh: ArrayLike
    b: ArrayLike
    b_hn: ArrayLike | None = None


def init_gru(
    key: Key,
    in_features: int,
    hidden: int,
    *,
    input_init: Initializer = input_default,
    recurrent_init: Initializer = recurrent_default,
    dtype: DTypeLike = jnp.float32,
) -> GRUParams:
    """Draw the weights of `gru`.

    The default initialisers are the same as in `init_rnn` and `init_lstm`.

    Args:
        key: Random key.
        in_features: Size D of `x_t`.
        hidden: Size H of `h_t`.
        input_init: Initialiser of the `(D, H)` block of each gate in `w_xh`; by default
            a truncated normal distribution with variance 1/D.
        recurrent_init: Initialiser of the `(H, H)` block of each gate in `w_hh`; by
            default orthogonal, so that all singular values are 1.
        dtype: Dtype of the weights.

    Returns:
        `GRUParams`, with zero biases, including `b_hn`.

    Raises:
        ValueError: If a size is below 1, or `dtype` is not floating point.
        TypeError: If an argument has the wrong type.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_gru
        >>> init_gru(jax.random.key(0), 4, 3).w_hh.shape
        (3, 9)

    Source: Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks" (orthogonal). Flax's `nnx.GRUCell` and Keras draw one
    orthogonal matrix for all gates, so that the singular values of each gate's block
    have the root mean square 0.58.
    """
    initialisers = {"input_init": input_init, "recurrent_init": recurrent_init}
    check_init(key, dtype, initialisers, in_features=in_features, hidden=hidden)
    input_key, recurrent_key = jax.random.split(key)
    return GRUParams(
        w_xh=init_gates(input_init, input_key, (in_features, hidden), 3, dtype),
        w_hh=init_gates(recurrent_init, recurrent_key, (hidden, hidden), 3, dtype),
        b=jnp.zeros(3 * hidden, dtype),
        b_hn=jnp.zeros(hidden, dtype),
    )


def gru_widths(params: Any) -> tuple[int]:
    """Check the shapes of the weights, and return the size of h."""
    hidden = check_weights(params, GRUParams, GRU_GATES)
    if params.b_hn is not None:
        check_shape("params.b_hn", params.b_hn, (hidden,), "one bias for each unit")
    return (hidden,)
