"""The minimal long short-term memory: gates from the input only."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.initializers import Initializer, input_default
from jaxnets.functional.recurrence.linear import (
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
        w_xh: `(D, 3*H)`. Row vectors: `x_t @ w_xh`.
        b: `(3*H,)`.

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
        forget_bias: Bias of f. At 1 a new network remembers for some steps.
        input_init: Rule for each gate's `(D, H)` block of `w_xh`; by default normal
            with variance 1/D, truncated.
        dtype: Dtype of the weights.

    Returns:
        `MinLSTMParams` with zero biases but for the forget gate.

    Raises:
        ValueError: If a size is below 1, or `dtype` is not floating point.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_min_lstm
        >>> init_min_lstm(jax.random.key(0), 4, 2).b
        Array([0., 0., 1., 1., 0., 0.], dtype=float32)

    Source: the initialisation is that of `init_lstm`. Flax, Keras and PyTorch have no
    such cell.
    """
    biases: dict[str, float] = {"f": forget_bias}
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
    """Return `log(sigmoid(a_f) / sigmoid(a_i))`, also where both underflow."""
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
    """Advance a minimal LSTM by one step; the maths is at `min_lstm`.

    Args:
        params: `MinLSTMParams`.
        state: `h_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.

    Returns:
        `(h_t, y_t)`, the same array twice.

    Raises:
        ValueError: If a shape does not fit the others, naming the argument.
        TypeError: If an argument is of the wrong kind.

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

    With `w_xh = [w_xi, w_xf, w_xg]` and `b` alike, and s the sigmoid,

        i = s(x_t @ w_xi + b_i) / (s(x_t @ w_xi + b_i) + s(x_t @ w_xf + b_f))
        f = 1 - i
        g = p(x_t @ w_xg + b_g),  p(a) = a + 1/2 if a >= 0, else s(a)
        h' = f * h + i * g

    No gate depends on h, so that all steps can be computed in parallel. The candidate g
    is positive, so that this also works on logarithms. The state is `h` alone.

    Args:
        params: `MinLSTMParams`; several sets at once through `jax.vmap`.
        x: `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`. Any number of batch
            axes, also none.
        state: Initial `h (*batch, H)`, of any sign; None is zeros.
        lengths: Number of real steps of each sequence, shape `batch`; see `recur`.
        resets: Where an episode begins, `(*batch, T)`; see `recur`.
        reverse: Read time backwards; see `recur`.
        time_major: Whether time is the first axis.
        unroll: Steps in one iteration of the compiled loop.
        checkpoint: None, "sqrt" or a segment's length: memory against recomputing; see
            `recur`.
        truncate: Backpropagate through at most so many steps; see `recur`.
        clip_cotangent: Bound of the absolute `dL/dh_t` as it passes each step, element
            by element; None bounds nothing. It has no forward mode.
        implementation: "scan" is a loop over time; "associative" computes all steps in
            parallel, and "associative_log" does so on logarithms, which keeps the
            digits of gates near 0 and 1. Only "scan" has `truncate`, `clip_cotangent`
            and taps. None chooses: `jaxnets.plan` says what and why.

    Returns:
        `(h, ys)`: the final state `(*batch, H)` and all states, with time as in `x`, in
        the promoted dtype of the arguments.

    Raises:
        ValueError: If a shape does not fit the others or an option is out of range.
        TypeError: If an argument is of the wrong kind, such as float lengths.

    Under `jaxnets.gradflow.measure` the tap `h` sees the whole of `dL/dh_t`; the taps
    `i`, `f` and `g` see that of the gates and the candidate.

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
