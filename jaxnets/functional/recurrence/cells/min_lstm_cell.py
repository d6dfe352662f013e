"""The minimal long short-term memory: gates from the input only."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.arguments import as_array
from jaxnets.functional.recurrence.initializers import Initializer, input_default
from jaxnets.functional.recurrence.linear_cell import (
    LinearCell,
    init_linear_cell,
    log_positive,
    positive,
    run_linear_cell,
    step_linear_cell,
)
from jaxnets.typing import ArrayLike, Key


class MinLSTMParams(NamedTuple):
    """Weights of a minimal LSTM, columns in the order i, f, g.

    Attributes:
        w_xh: Weights of the input `(D, 3*H)`: `x_t @ w_xh`.
        b: Biases `(3*H,)`.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_min_lstm
        >>> jax.tree.map(lambda w: w.shape, init_min_lstm(jax.random.key(0), 4, 3))
        MinLSTMParams(w_xh=(4, 9), b=(9,))
    """

    w_xh: ArrayLike
    b: ArrayLike


def init_min_lstm(
    key: Key,
    in_features: int,
    hidden: int,
    *,
    forget_bias: float = 1.0,
    input_init: Initializer = input_default,
    dtype: DTypeLike = jnp.float32,
) -> MinLSTMParams:
    """Draw the weights of `min_lstm`.

    Args:
        key: Random key.
        in_features: Size D of `x_t`.
        hidden: Size H of `h_t`.
        forget_bias: Initial bias of the forget gate. With 1, a new network keeps its
            memory for some steps.
        input_init: Initialiser of the `(D, H)` block of each gate in `w_xh`; by default
            a truncated normal distribution with variance 1/D.
        dtype: Dtype of the weights.

    Returns:
        `MinLSTMParams`, with zero biases except for the forget gate.

    Raises:
        ValueError: If a size is below 1, or `dtype` is not floating point.
        TypeError: If an argument has the wrong type.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_min_lstm
        >>> init_min_lstm(jax.random.key(0), 4, 2).b
        Array([0., 0., 1., 1., 0., 0.], dtype=float32)

    Source: the initialisation is the one of `init_lstm`. Flax, Keras and PyTorch have
    no such cell.
    """
    biases = {"f": as_array(forget_bias, "forget_bias")}
    return init_linear_cell(
        MIN_LSTM, key, in_features, hidden, biases, input_init=input_init, dtype=dtype
    )


def _coefficients(a, tap) -> tuple[Array, Array]:
    difference = _log_ratio(a)
    f = tap(jax.nn.sigmoid(difference), "f")
    i = tap(jax.nn.sigmoid(-difference), "i")
    g = tap(positive(a["g"]), "g")
    return f, i * g


def _log_coefficients(a) -> tuple[Array, Array]:
    difference = _log_ratio(a)
    log_f, log_i = jax.nn.log_sigmoid(difference), jax.nn.log_sigmoid(-difference)
    return log_f, log_i + log_positive(a["g"])


def _log_ratio(a) -> Array:
    """Return `log(sigmoid(a_f) / sigmoid(a_i))`, even where both underflow."""
    return jax.nn.log_sigmoid(a["f"]) - jax.nn.log_sigmoid(a["i"])


MIN_LSTM = LinearCell(
    name="min_lstm",
    params=MinLSTMParams,
    gates=("i", "f", "g"),
    coefficients=_coefficients,
    log_coefficients=_log_coefficients,
)


def min_lstm_step(
    params: MinLSTMParams,
    state: Num[ArrayLike, "*batch_hidden"],
    x_t: Num[ArrayLike, "*batch_features"],
) -> tuple[Inexact[Array, "*batch hidden"], Inexact[Array, "*batch hidden"]]:
    """Compute one step of a minimal LSTM; `min_lstm` has the equations.

    Args:
        params: `MinLSTMParams`.
        state: `h_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.

    Returns:
        `(h_t, y_t)`, the same array twice.

    Raises:
        ValueError: If the shapes of the arguments do not fit together.
        TypeError: If an argument has the wrong type.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_min_lstm, min_lstm_step
        >>> params = init_min_lstm(jax.random.key(0), 4, 3)
        >>> h, y = min_lstm_step(params, jnp.zeros((2, 3)), jnp.ones((2, 4)))
        >>> h.shape
        (2, 3)

    Source: as `min_lstm`.
    """
    return step_linear_cell(MIN_LSTM, params, state, x_t)


def min_lstm(
    params: MinLSTMParams,
    x: Num[ArrayLike, "*batch_time_features"],
    state: Num[ArrayLike, "*batch_hidden"] | None = None,
    *,
    lengths: Shaped[ArrayLike, "*batch"] | None = None,
    resets: Shaped[ArrayLike, "*batch_time"] | None = None,
    reverse: bool = False,
    time_major: bool = False,
    unroll: int = 1,
    checkpoint: int | str | None = None,
    truncate: int | None = None,
    clip_cotangent: float | None = None,
    implementation: str | None = None,
) -> tuple[Inexact[Array, "*batch hidden"], Inexact[Array, "*lead hidden"]]:
    """Run a minimal LSTM over time.

    The columns of `w_xh` are blocks, `w_xh = [w_xi, w_xf, w_xg]`, and `b` has the same
    order. A step computes, with s the sigmoid,

        i = s(x_t @ w_xi + b_i) / (s(x_t @ w_xi + b_i) + s(x_t @ w_xf + b_f))
        f = 1 - i
        g = p(x_t @ w_xg + b_g),  p(a) = a + 1/2 if a >= 0, else s(a)
        h' = f * h + i * g

    No gate depends on h, so all steps can be computed in parallel. The candidate g is
    positive, so they can also be computed with logarithms. The state is `h` alone.

    Args:
        params: `MinLSTMParams`. Use `jax.vmap` to run several sets at once.
        x: Inputs `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`, with any
            number of batch axes.
        state: Initial state `h (*batch, H)`, of any sign; None is zeros.
        lengths: Integers of shape `batch`: the number of steps of each sequence, the
            rest of which is padding; see `recur`.
        resets: Booleans `(*batch, T)`, or `(T, *batch)` with `time_major`: the steps
            before which the state is reset to the initial state; see `recur`.
        reverse: Whether the last step is computed first; see `recur`.
        time_major: Whether time is the first axis of `x`, `resets` and `ys`.
        unroll: Number of steps in one iteration of the compiled loop.
        checkpoint: Trades memory for recomputation: None stores the residuals of every
            step; an int is the number of steps of a segment that is recomputed in the
            backward pass; "sqrt" is sqrt(T) steps. See `recur`.
        truncate: Number of steps that a cotangent passes through at most (truncated
            backpropagation through time), or None; see `recur`.
        clip_cotangent: Bound of each element of `dL/dh_t`, which is clipped at every
            step of the backward pass; None means no bound. With a bound, forward mode
            is not supported.
        implementation: "scan" is a loop over time. "associative" computes all steps in
            parallel, and "associative_log" does the same with logarithms, which
            represent gates near 0 and 1 more accurately. Only "scan" supports
            `truncate` and `clip_cotangent`, and it is the one that runs under
            `measure`. None chooses; `jaxnets.plan` says which one runs and why.

    Returns:
        `(h, ys)`: the final state `(*batch, H)`, and the states of all steps
        `(*batch, T, H)`, with time on the same axis as in `x`. Both have the promoted
        dtype of the arguments.

    Raises:
        ValueError: If the shapes of the arguments do not fit together, or an option is
            out of range.
        TypeError: If an argument has the wrong type, such as float lengths.

    Under `jaxnets.gradflow.measure` the tap `h` records the total `dL/dh_t`, and the
    taps `i`, `f` and `g` record the derivatives with respect to the gates and the
    candidate.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_min_lstm, min_lstm
        >>> params = init_min_lstm(jax.random.key(0), 4, 3)
        >>> h, ys = min_lstm(params, jnp.ones((2, 5, 4)), lengths=jnp.array([5, 2]))
        >>> h.shape, ys.shape
        ((2, 3), (2, 5, 3))

    Source: Feng et al. 2024, "Were RNNs All We Needed?", section 3.2 and appendix B.
    Flax, Keras and PyTorch have no such cell.
    """
    return run_linear_cell(
        MIN_LSTM,
        params,
        x,
        state,
        implementation,
        clip_cotangent=clip_cotangent,
        lengths=lengths,
        resets=resets,
        reverse=reverse,
        time_major=time_major,
        unroll=unroll,
        checkpoint=checkpoint,
        truncate=truncate,
    )
