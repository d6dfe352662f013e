"""The weights and state of a long short-term memory, and their initial values."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxnets.arguments import as_array, as_switch
from jaxnets.functional.recurrence.arguments import (
    check_kind,
    check_shape,
    check_weights,
)
from jaxnets.functional.recurrence.initializers import (
    Initializer,
    check_init,
    init_gates,
    input_default,
    recurrent_default,
)
from jaxnets.typing import ArrayLike, Key


# The blocks of columns of the weights, in order.
LSTM_GATES = ("i", "f", "g", "o")


class LSTMState(NamedTuple):
    """The state of a long short-term memory.

    Attributes:
        h: The output `(*batch, H)`, or `(*batch, P)` with a projection.
        c: The memory cell `(*batch, H)`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import LSTMState, init_lstm, lstm
        >>> params = init_lstm(jax.random.key(0), 4, 3)
        >>> start = LSTMState(h=jnp.zeros((2, 3)), c=jnp.ones((2, 3)))
        >>> state, _ = lstm(params, jnp.ones((2, 5, 4)), start)
        >>> state.h.shape, state.c.shape
        ((2, 3), (2, 3))
    """

    h: ArrayLike
    c: ArrayLike


class LSTMParams(NamedTuple):
    """Weights of a long short-term memory, columns in the order i, f, g, o.

    Attributes:
        w_xh: Weights of the input `(D, 4*H)`: `x_t @ w_xh`.
        w_hh: Weights of the output `(H, 4*H)`, or `(P, 4*H)` with a projection:
            `h_{t-1} @ w_hh`.
        b: Biases `(4*H,)`.
        peephole: Weights from the memory cell to i, f and o `(3, H)`; None means no
            peepholes.
        w_hr: Weights of the projection of the output `(H, P)`; None means no
            projection.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_lstm
        >>> params = init_lstm(jax.random.key(0), 4, 3, projection=2)
        >>> jax.tree.map(lambda w: w.shape, params)
        LSTMParams(w_xh=(4, 12), w_hh=(2, 12), b=(12,), peephole=None, w_hr=(3, 2))
    """

    w_xh: ArrayLike
    w_hh: ArrayLike
    b: ArrayLike
    peephole: ArrayLike | None = None
    w_hr: ArrayLike | None = None


def init_lstm(
    key: Key,
    in_features: int,
    hidden: int,
    *,
    forget_bias: float = 1.0,
    peephole: bool = False,
    projection: int | None = None,
    input_init: Initializer = input_default,
    recurrent_init: Initializer = recurrent_default,
    dtype: DTypeLike = jnp.float32,
) -> LSTMParams:
    """Draw the weights of `lstm`.

    The default initialisers are the same as in `init_rnn` and `init_gru`.

    Args:
        key: Random key.
        in_features: Size D of `x_t`.
        hidden: Size H of the memory cell, and of `h_t` without a projection.
        forget_bias: Initial bias of the forget gate. With 1, a new network keeps its
            memory for some steps.
        peephole: Whether the gates depend on the memory cell; the weights start at
            zero.
        projection: Size P of `h_t`, or None for no projection.
        input_init: Initialiser of the `(D, H)` block of each gate in `w_xh`, and of
            `w_hr`; by default a truncated normal distribution with variance 1 over the
            number of rows.
        recurrent_init: Initialiser of the `(H, H)`, or `(P, H)`, block of each gate in
            `w_hh`; by default orthogonal, so that all singular values are 1.
        dtype: Dtype of the weights.

    Returns:
        `LSTMParams`, with zero biases except for the forget gate.

    Raises:
        ValueError: If a size is below 1, or `dtype` is not floating point.
        TypeError: If an argument has the wrong type.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_lstm
        >>> init_lstm(jax.random.key(0), 4, 2).b
        Array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)

    Source: Jozefowicz et al. 2015, "An Empirical Exploration of Recurrent Network
    Architectures" (forget bias); Saxe et al. 2013, "Exact solutions to the nonlinear
    dynamics of learning in deep linear neural networks" (orthogonal). The forget bias
    of Flax starts at 0. Keras and `nnx.OptimizedLSTMCell` draw one orthogonal matrix
    for all gates, so that the singular values of each gate's block have the root mean
    square 0.5.
    """
    initialisers = {"input_init": input_init, "recurrent_init": recurrent_init}
    sizes = {"in_features": in_features, "hidden": hidden}
    sizes |= {} if projection is None else {"projection": projection}
    check_init(key, dtype, initialisers, **sizes)
    peephole = as_switch(peephole, "peephole")
    input_key, recurrent_key, projection_key = jax.random.split(key, 3)
    outputs = hidden if projection is None else projection
    b = jnp.zeros((4, hidden), dtype).at[1].set(as_array(forget_bias, "forget_bias"))
    w_hr = None
    if projection is not None:
        w_hr = init_gates(input_init, projection_key, (hidden, projection), 1, dtype)
    return LSTMParams(
        w_xh=init_gates(input_init, input_key, (in_features, hidden), 4, dtype),
        w_hh=init_gates(recurrent_init, recurrent_key, (outputs, hidden), 4, dtype),
        b=b.reshape(-1),
        peephole=jnp.zeros((3, hidden), dtype) if peephole else None,
        w_hr=w_hr,
    )


def lstm_widths(params: Any) -> tuple[int, int]:
    """Check the shapes of the weights, and return the sizes of h and c."""
    check_kind(params, LSTMParams)
    outputs = None
    if params.w_hr is not None:
        if jnp.ndim(params.w_hr) != 2:
            raise ValueError(
                f"`params.w_hr` has shape {jnp.shape(params.w_hr)}; wanted (H, P), "
                "weights from the memory cell to the output."
            )
        outputs = jnp.shape(params.w_hr)[1]
    hidden = check_weights(params, LSTMParams, LSTM_GATES, outputs)
    if outputs is not None:
        why = "weights from the memory cell to the output"
        check_shape("params.w_hr", params.w_hr, (hidden, outputs), why)
    if params.peephole is not None:
        why = "one row for each of i, f and o"
        check_shape("params.peephole", params.peephole, (3, hidden), why)
    return hidden if outputs is None else outputs, hidden
