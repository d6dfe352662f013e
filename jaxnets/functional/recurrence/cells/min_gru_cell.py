"""The minimal gated recurrent unit: gates from the input only."""

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


class MinGRUParams(NamedTuple):
    """Weights of a minimal gated recurrent unit, columns in the order z, n.

    Attributes:
        w_xh: `(D, 2*H)`. Row vectors: `x_t @ w_xh`.
        b: `(2*H,)`.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_min_gru
        >>> jax.tree.map(lambda w: w.shape, init_min_gru(jax.random.key(0), 4, 3))
        MinGRUParams(w_xh=(4, 6), b=(6,))
    """

    w_xh: ArrayLike
    b: ArrayLike


def init_min_gru(
    key: Key,
    in_features: int,
    hidden: int,
    *,
    input_init: Initializer = input_default,
    dtype: DTypeLike = jnp.float32,
) -> MinGRUParams:
    """Draw the weights of `min_gru`.

    Args:
        key: Random key.
        in_features: Size D of `x_t`.
        hidden: Size H of `h_t`.
        input_init: Rule for the `(D, H)` block of each of z and n; by default normal
            with variance 1/D, truncated.
        dtype: Dtype of the weights.

    Returns:
        `MinGRUParams` with zero biases.

    Raises:
        ValueError: If a size is below 1, or `dtype` is not floating point.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_min_gru
        >>> init_min_gru(jax.random.key(0), 4, 3).w_xh.shape
        (4, 6)

    Source: the initialisation is that of `init_gru`. Flax, Keras and PyTorch have no
    such cell.
    """
    biases: dict[str, float] = {}
    return init_linear_cell(
        MIN_GRU, key, in_features, hidden, biases, input_init=input_init, dtype=dtype
    )


def _coefficients(a, tap) -> tuple[Array, Array]:
    z = tap(jax.nn.sigmoid(a["z"]), "z")
    n = tap(positive(a["n"]), "n")
    return z, (1 - z) * n


def _log_coefficients(a) -> tuple[Array, Array]:
    log_z, log_1_minus_z = jax.nn.log_sigmoid(a["z"]), jax.nn.log_sigmoid(-a["z"])
    return log_z, log_1_minus_z + log_positive(a["n"])


MIN_GRU = LinearCell(
    name="min_gru",
    params=MinGRUParams,
    gates=("z", "n"),
    coefficients=_coefficients,
    log_coefficients=_log_coefficients,
)


def min_gru_step(
    params: MinGRUParams,
    state: Num[ArrayLike, "*batch_hidden"],
    x_t: Num[ArrayLike, "*batch_features"],
) -> tuple[Inexact[Array, "*batch hidden"], Inexact[Array, "*batch hidden"]]:
    """Advance a minimal gated recurrent unit by one step; the maths is at `min_gru`.

    Args:
        params: `MinGRUParams`.
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
        >>> from jaxnets.functional import init_min_gru, min_gru_step
        >>> params = init_min_gru(jax.random.key(0), 4, 3)
        >>> h, y = min_gru_step(params, jnp.zeros((2, 3)), jnp.ones((2, 4)))
        >>> h.shape
        (2, 3)

    Source: as `min_gru`.
    """
    return step_linear_cell(MIN_GRU, params, state, x_t)


def min_gru(
    params: MinGRUParams,
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
    """Run a minimal gated recurrent unit over time.

    With `w_xh = [w_xz, w_xn]` and `b` alike,

        z = sigmoid(x_t @ w_xz + b_z)
        n = g(x_t @ w_xn + b_n),  g(a) = a + 1/2 if a >= 0, else sigmoid(a)
        h' = (1 - z) * n + z * h

    No gate depends on h, so that all steps can be computed in parallel. The candidate n
    is positive, so that this also works on logarithms.

    Args:
        params: `MinGRUParams`; several sets at once through `jax.vmap`.
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
    `z` and `n` see that of the gate and the candidate.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_min_gru, min_gru
        >>> params = init_min_gru(jax.random.key(0), 4, 3)
        >>> h, ys = min_gru(params, jnp.ones((2, 5, 4)), lengths=jnp.array([5, 2]))
        >>> h.shape, ys.shape
        ((2, 3), (2, 5, 3))

    Source: Feng et al. 2024, "Were RNNs All We Needed?", section 3.1 and appendix B.
    Their z is 1 - z here, as in every `gru` of this library; for their weights change
    the sign of the columns of z. Flax, Keras and PyTorch have no such cell.
    """
    return run_linear_cell(
        MIN_GRU,
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
