"""How recurrent weights start: one rule for rnn, gru and lstm, gate by gate.

A contrast of architectures must not be one of initialisers, so all three draw each
gate's block on its own, with the same two rules. The default is orthogonal; here are
the other rules that papers name.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact

from jaxnets.functional.recurrence.arguments import (
    check_callables,
    check_key,
    check_number,
)
from jaxnets.functional.shared.arguments import as_count
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.typing import Key


Initializer = jax.nn.initializers.Initializer

# The two rules of all three networks.
input_default: Initializer = jax.nn.initializers.lecun_normal()
recurrent_default: Initializer = jax.nn.initializers.orthogonal()


def init_gates(
    init: Initializer, key: Key, rows: int, columns: int, gates: int, dtype: DTypeLike
) -> Inexact[Array, "{rows} {gates*columns}"]:
    """Draw one `(rows, columns)` block for each gate and put them side by side.

    An orthogonal rule on the fused matrix instead would give each gate's recurrent
    block singular values of 1/sqrt(G), and the cell a different gain from an RNN's.
    Drawn in at least float32 and rounded, since a QR decomposition needs that.
    """
    wide = accumulation_dtype(dtype)
    blocks = [init(k, (rows, columns), wide) for k in jax.random.split(key, gates)]
    return jnp.concatenate(blocks, axis=1).astype(dtype)


def check_init(key: Any, dtype: Any, rules: dict[str, Any], **sizes: Any) -> None:
    """Raise for the first argument of an `init_` function that is none such."""
    check_sizes(**sizes)
    check_key(key)
    check_callables(**rules)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"`dtype` is {jnp.dtype(dtype)}; wanted floating point, such as "
            "jnp.float32."
        )


def check_sizes(**sizes: Any) -> None:
    """Raise for the first of `sizes` that is no int, or below 1."""
    for name, size in sizes.items():
        if size is not None:
            as_count(size, name)


def uniform_init(hidden: int) -> Initializer:
    """Return PyTorch's rule: every weight uniform within `+-1/sqrt(H)`.

    Args:
        hidden: H, units of the network.

    Returns:
        An initialiser for `input_init` and `recurrent_init`.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_gru, uniform_init
        >>> rule = uniform_init(16)
        >>> key = jax.random.key(0)
        >>> w_hh = init_gru(key, 4, 16, input_init=rule, recurrent_init=rule).w_hh
        >>> bool(abs(w_hh).max() <= 0.25)
        True

    Source: `torch.nn.LSTM`, which draws the biases alike; here they start at zero. A
    recurrent block then has a spectral radius near 0.58.
    """
    check_sizes(hidden=hidden)
    bound = hidden**-0.5

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def identity_init(scale: float = 1.0) -> Initializer:
    """Return the rule of the identity RNN: each recurrent block is `scale * I`.

    Args:
        scale: What stands on the diagonal.

    Returns:
        An initialiser for `recurrent_init`; a block that is not square has the
        diagonal that fits.

    Raises:
        TypeError: If `scale` is no number.

    Example:
        >>> import jax
        >>> from jaxnets.functional import identity_init, init_rnn
        >>> init_rnn(jax.random.key(0), 4, 2, recurrent_init=identity_init(0.5)).w_hh
        Array([[0.5, 0. ],
               [0. , 0.5]], dtype=float32)

    Source: Le et al. 2015, "A Simple Way to Initialize Recurrent Networks of Rectified
    Linear Units", with `activation=jax.nn.relu`. Flax, Keras and PyTorch
    leave it to the user.
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

    `b_f = log(u)` with u uniform in [1, longest - 1], `b_i = -b_f`, the others zero:
    each unit forgets over its own time, and the times cover the range.

    Args:
        key: Random key.
        hidden: H, units of the network.
        longest: Steps that the longest dependency spans, at least 3.
        dtype: Dtype of the biases.

    Returns:
        `b (4*H,)` in the order i, f, g, o, for `LSTMParams._replace(b=...)`.

    Raises:
        ValueError: If `hidden` is below 1 or `longest` below 3.

    Example:
        >>> import jax
        >>> from jaxnets.functional import chrono_bias, init_lstm
        >>> k1, k2 = jax.random.split(jax.random.key(0))
        >>> params = init_lstm(k1, 4, 8)._replace(b=chrono_bias(k2, 8, longest=100))
        >>> bool((params.b[8:16] >= 0).all())
        True

    Source: Tallec and Ollivier 2018, "Can recurrent neural networks warp time?".
    Flax, Keras and PyTorch have no such rule.
    """
    check_sizes(hidden=hidden, longest=longest)
    check_key(key)
    if longest < 3:
        raise ValueError(
            f"`longest` is {longest}; wanted at least 3 steps. For shorter ones the "
            "`forget_bias` of `init_lstm` is enough."
        )
    steps = jax.random.uniform(key, (hidden,), jnp.float32, 1.0, longest - 1.0)
    b_f = jnp.log(steps)
    rest = jnp.zeros(hidden)
    return jnp.concatenate([-b_f, b_f, rest, rest]).astype(dtype)
