"""Initialisers of recurrent weights.

All cells draw the block of each gate separately, with the same two default
initialisers, so that a comparison of cells is not one of initialisers. This file also
has other initialisers from the literature.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact

from jaxnets.arguments import as_count, as_dtype, check_key, check_number
from jaxnets.functional.recurrence.arguments import (
    check_callables,
)
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.typing import Key


Initializer = jax.nn.initializers.Initializer

# The default initialisers of all cells.
input_default: Initializer = jax.nn.initializers.lecun_normal()
recurrent_default: Initializer = jax.nn.initializers.orthogonal()


def init_gates(
    init: Initializer, key: Key, shape: tuple[int, ...], gates: int, dtype: DTypeLike
) -> Inexact[Array, "..."]:
    """Draw a block of `shape` for each gate and concatenate them on the last axis.

    If one orthogonal matrix were drawn for all G gates, the singular values of each
    gate's block would have the root mean square 1/sqrt(G). The blocks
    are drawn in at least float32, which a QR decomposition needs, and rounded to
    `dtype`.
    """
    wide = accumulation_dtype(dtype)
    blocks = [init(k, shape, wide) for k in jax.random.split(key, gates)]
    return jnp.concatenate(blocks, axis=-1).astype(dtype)


def check_init(
    key: Any, dtype: Any, initialisers: dict[str, Any], **sizes: Any
) -> None:
    """Check the arguments that all `init_` functions share."""
    check_sizes(**sizes)
    check_key(key)
    check_callables(**initialisers)
    _check_floating(dtype)


def _check_floating(dtype: Any) -> None:
    parsed = as_dtype(dtype, "dtype")
    if not jnp.issubdtype(parsed, jnp.floating):
        raise ValueError(
            f"`dtype` is {parsed}; wanted floating point, such as jnp.float32."
        )


def check_sizes(**sizes: Any) -> None:
    """Raise unless each of `sizes` is an int of at least 1."""
    for name, size in sizes.items():
        as_count(size, name)


def uniform_init(hidden: int) -> Initializer:
    """Return PyTorch's initialiser: uniform between `-1/sqrt(H)` and `1/sqrt(H)`.

    Args:
        hidden: H, units of the layer.

    Returns:
        An initialiser for `input_init` and `recurrent_init`.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_gru, uniform_init
        >>> init = uniform_init(16)
        >>> key = jax.random.key(0)
        >>> w_hh = init_gru(key, 4, 16, input_init=init, recurrent_init=init).w_hh
        >>> bool(abs(w_hh).max() <= 0.25)
        True

    Source: `torch.nn.LSTM`, which also draws the biases in this way; here they start at
    zero. The recurrent block of a gate has a spectral radius near 0.58.
    """
    check_sizes(hidden=hidden)
    bound = hidden**-0.5

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def identity_init(scale: float = 1.0) -> Initializer:
    """Return the initialiser of the identity RNN: each recurrent block is `scale * I`.

    Args:
        scale: The value on the diagonal.

    Returns:
        An initialiser for `recurrent_init`. A block that is not square is zero outside
        its main diagonal.

    Raises:
        TypeError: If `scale` is not a number.

    Example:
        >>> import jax
        >>> from jaxnets.functional import identity_init, init_rnn
        >>> init_rnn(jax.random.key(0), 4, 2, recurrent_init=identity_init(0.5)).w_hh
        Array([[0.5, 0. ],
               [0. , 0.5]], dtype=float32)

    Source: Le et al. 2015, "A Simple Way to Initialize Recurrent Networks of Rectified
    Linear Units", with `activation=jax.nn.relu`. Flax, Keras and PyTorch have no such
    default.
    """
    check_number("scale", scale, "the number on the diagonal, such as 1.0")

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del key, out_sharding
        return scale * jnp.eye(*shape, dtype=dtype)

    return init


def chrono_bias(
    key: Key, hidden: int, longest: int, *, dtype: DTypeLike = jnp.float32
) -> Inexact[Array, " {4*hidden}"]:
    """Draw the biases of an `lstm` for dependencies of up to `longest` steps.

    `b_f = log(u)` with u uniform in [1, longest - 1], `b_i = -b_f`, and the other
    biases are zero. So each unit has its own time scale of forgetting,
    `1 / (1 - sigmoid(b_f)) = 1 + u`, between 2 and `longest` steps.

    Args:
        key: Random key.
        hidden: H, units of the layer.
        longest: Number of steps of the longest dependency, at least 3.
        dtype: Dtype of the biases.

    Returns:
        `b (4*H,)` in the order i, f, g, o, for `LSTMParams._replace(b=...)`.

    Raises:
        ValueError: If `hidden` is below 1 or `longest` below 3, or `dtype` is not
            floating point.

    Example:
        >>> import jax
        >>> from jaxnets.functional import chrono_bias, init_lstm
        >>> k1, k2 = jax.random.split(jax.random.key(0))
        >>> params = init_lstm(k1, 4, 8)._replace(b=chrono_bias(k2, 8, longest=100))
        >>> bool((params.b[8:16] >= 0).all())
        True

    Source: Tallec and Ollivier 2018, "Can recurrent neural networks warp time?".
    Flax, Keras and PyTorch have no such initialiser.
    """
    check_sizes(hidden=hidden, longest=longest)
    check_key(key)
    _check_floating(dtype)
    if longest < 3:
        raise ValueError(
            f"`longest` is {longest}; wanted at least 3 steps. For shorter "
            "dependencies use the `forget_bias` of `init_lstm`."
        )
    steps = jax.random.uniform(key, (hidden,), jnp.float32, 1.0, longest - 1.0)
    b_f = jnp.log(steps)
    rest = jnp.zeros(hidden)
    return jnp.concatenate([-b_f, b_f, rest, rest]).astype(dtype)
