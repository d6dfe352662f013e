"""The minimal gated recurrent unit: gates from the input only."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num, Shaped

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


class MinGRUParams(NamedTuple):
    """Weights of a minimal gated recurrent unit, columns in the order z, n.

    Attributes:
        w_xh: Weights of the input `(D, 2*H)`: `x_t @ w_xh`.
        b: Biases `(2*H,)`.

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
        input_init: Initialiser of the `(D, H)` block of each gate in `w_xh`; by default
            a truncated normal distribution with variance 1/D.
        dtype: Dtype of the weights.

    Returns:
        `MinGRUParams`, with zero biases.

    Raises:
        ValueError: If a size is below 1, or `dtype` is not floating point.
        TypeError: If an argument has the wrong type.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_min_gru
        >>> init_min_gru(jax.random.key(0), 4, 3).w_xh.shape
        (4, 6)

    Source: the initialisation is the one of `init_gru`. Flax, Keras and PyTorch have no
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
    """Compute one step of a minimal gated recurrent unit; `min_gru` has the equations.

    Args:
        params: `MinGRUParams`.
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

    The columns of `w_xh` are blocks, `w_xh = [w_xz, w_xn]`, and `b` has the same order.
    A step computes

        z = sigmoid(x_t @ w_xz + b_z)
        n = g(x_t @ w_xn + b_n),  g(a) = a + 1/2 if a >= 0, else sigmoid(a)
        h' = (1 - z) * n + z * h

    No gate depends on h, so all steps can be computed in parallel. The candidate n is
    positive, so they can also be computed with logarithms.

    Args:
        params: `MinGRUParams`. Use `jax.vmap` to run several sets at once.
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
    taps `z` and `n` record the derivatives with respect to the gate and the candidate.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_min_gru, min_gru
        >>> params = init_min_gru(jax.random.key(0), 4, 3)
        >>> h, ys = min_gru(params, jnp.ones((2, 5, 4)), lengths=jnp.array([5, 2]))
        >>> h.shape, ys.shape
        ((2, 3), (2, 5, 3))

    Source: Feng et al. 2024, "Were RNNs All We Needed?", section 3.1 and appendix B. As
    in `gru`, z multiplies the old state; in the paper it multiplies the candidate. To
    use weights of the paper's form, change the sign of the columns of z. Flax, Keras
    and PyTorch have no such cell.
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
