"""The weights of a simple recurrent network, and how they start."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxnets.functional.recurrence.initializers import (
    Initializer,
    check_init,
    init_gates,
    input_default,
    recurrent_default,
)
from jaxnets.typing import ArrayLike, Key


class RNNParams(NamedTuple):
    """Weights of a simple recurrent network.

    Attributes:
        w_xh: `(D, H)`, from the input. Row vectors: `x_t @ w_xh`.
        w_hh: `(H, H)`, from the last state.
        b: `(H,)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import RNNParams, rnn
        >>> params = RNNParams(w_xh=jnp.eye(3), w_hh=jnp.zeros((3, 3)), b=jnp.ones(3))
        >>> rnn(params, jnp.zeros((4, 3)), activation=jnp.negative)[0]
        Array([-1., -1., -1.], dtype=float32)
    """

    w_xh: ArrayLike
    w_hh: ArrayLike
    b: ArrayLike


def init_rnn(
    key: Key,
    in_features: int,
    hidden: int,
    *,
    input_init: Initializer = input_default,
    recurrent_init: Initializer = recurrent_default,
    dtype: DTypeLike = jnp.float32,
) -> RNNParams:
    """Draw the weights of `rnn`, by the same rules as `init_gru` and `init_lstm`.

    Args:
        key: Random key.
        in_features: Size D of `x_t`.
        hidden: Size H of `h_t`.
        input_init: Rule for `w_xh`; by default normal with variance 1/D, truncated.
        recurrent_init: Rule for `w_hh`; by default orthogonal, all singular values 1.
        dtype: Dtype of the weights.

    Returns:
        `RNNParams` with zero bias.

    Raises:
        ValueError: If a size is below 1, or `dtype` is not floating point.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_rnn
        >>> init_rnn(jax.random.key(0), 4, 3).w_xh.shape
        (4, 3)

    Source: Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks" (orthogonal). PyTorch draws all weights uniformly from
    plus and minus 1/sqrt(H), for a spectral radius near 0.58.
    """
    rules = {"input_init": input_init, "recurrent_init": recurrent_init}
    check_init(key, dtype, rules, in_features=in_features, hidden=hidden)
    input_key, recurrent_key = jax.random.split(key)
    return RNNParams(
        w_xh=init_gates(input_init, input_key, in_features, hidden, 1, dtype),
        w_hh=init_gates(recurrent_init, recurrent_key, hidden, hidden, 1, dtype),
        b=jnp.zeros(hidden, dtype),
    )
