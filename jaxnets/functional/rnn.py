"""The simple recurrent network of Elman: one state, one activation, no gates."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.initializers import (
    Initializer,
    check_sizes,
    init_gates,
    input_default,
    recurrent_default,
)
from jaxnets.functional.recurrence import check_callables
from jaxnets.functional.recurrent_arguments import (
    Activation,
    batch_of,
    bounded,
    check_clip,
    check_features,
    check_shape,
    check_weights,
    input_share,
    product,
    run_cell,
    same_dtype,
)
from jaxnets.tap import tap
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
        ValueError: If a size is below 1.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_rnn
        >>> init_rnn(jax.random.key(0), 4, 3).w_xh.shape
        (4, 3)

    Source: Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks" (orthogonal). PyTorch draws all weights uniformly from
    plus and minus 1/sqrt(H), for a spectral radius near 0.58.
    """
    check_sizes(in_features=in_features, hidden=hidden)
    input_key, recurrent_key = jax.random.split(key)
    return RNNParams(
        w_xh=init_gates(input_init, input_key, in_features, hidden, 1, dtype),
        w_hh=init_gates(recurrent_init, recurrent_key, hidden, hidden, 1, dtype),
        b=jnp.zeros(hidden, dtype),
    )


def rnn_step(
    params: RNNParams,
    state: Num[ArrayLike, "*batch_hidden"],
    x_t: Num[ArrayLike, "*batch_features"],
    *,
    activation: Activation = jnp.tanh,
    clip: float | None = None,
) -> tuple[Inexact[Array, "*batch hidden"], Inexact[Array, "*batch hidden"]]:
    """Advance a simple recurrent network by one step.

    `h_t = activation(x_t @ w_xh + h_{t-1} @ w_hh + b)`, and `y_t = h_t`.

    Args:
        params: `RNNParams`.
        state: `h_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.
        activation: Elementwise function.
        clip: Bound of the absolute pre-activation, or None.

    Returns:
        `(h_t, y_t)`, the same array twice.

    Raises:
        ValueError: If a shape does not fit the others, naming the argument.
        TypeError: If `activation` is not callable or no array is floating point.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_rnn, rnn_step
        >>> params = init_rnn(jax.random.key(0), 4, 3)
        >>> h, y = rnn_step(params, jnp.zeros((2, 3)), jnp.ones((2, 4)))
        >>> h.shape
        (2, 3)

    Source: Elman 1990, "Finding Structure in Time". One bias, where PyTorch has two
    that are added.
    """
    _check(params, activation, clip)
    check_features("x_t", x_t, params.w_xh, "(*batch, features)")
    _check_state(state, jnp.shape(x_t)[:-1], params)
    params, h, x_t = same_dtype(params, state, x_t)
    return _advance(params, activation, clip, h, input_share(params, x_t))


def rnn(
    params: RNNParams,
    x: Num[ArrayLike, "*batch_time_features"],
    state: Num[ArrayLike, "*batch_hidden"] | None = None,
    *,
    activation: Activation = jnp.tanh,
    clip: float | None = None,
    lengths: Shaped[ArrayLike, "*batch"] | None = None,
    resets: Shaped[ArrayLike, "*batch_time"] | None = None,
    reverse: bool = False,
    time_major: bool = False,
    unroll: int = 1,
    checkpoint: int | str | None = None,
) -> tuple[Inexact[Array, "*batch hidden"], Inexact[Array, "*lead hidden"]]:
    """Run a simple recurrent network over time.

    `h_t = activation(x_t @ w_xh + h_{t-1} @ w_hh + b)`, and `ys[t] = h_t`.

    Args:
        params: `RNNParams`; several sets at once through `jax.vmap`.
        x: `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`. Any number of batch
            axes, also none.
        state: Initial `h (*batch, H)`; None is zeros.
        activation: Elementwise function.
        clip: Bound of the absolute pre-activation, or None.
        lengths: Number of real steps of each sequence, shape `batch`; see `recur`.
        resets: Where an episode begins, `(*batch, T)`; see `recur`.
        reverse: Read time backwards; see `recur`.
        time_major: Whether time is the first axis.
        unroll: Steps in one iteration of the compiled loop.
        checkpoint: None, "sqrt" or a segment's length: memory against recomputing; see
            `recur`.

    Returns:
        `(h, ys)`: the final state `(*batch, H)` and all states, with time as in `x`, in
        the promoted dtype of the arguments.

    Raises:
        ValueError: If a shape does not fit the others or an option is out of range.
        TypeError: If an argument is of the wrong kind, such as float lengths.

    Under `jaxnets.gradflow.measure` the tap `h` sees the whole of `dL/dh_t`, what comes
    from `ys[t]` and what comes through the later steps.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_rnn, rnn
        >>> params = init_rnn(jax.random.key(0), 4, 3)
        >>> h, ys = rnn(params, jnp.ones((2, 5, 4)), lengths=jnp.array([5, 2]))
        >>> h.shape, ys.shape
        ((2, 3), (2, 5, 3))

    Source: Elman 1990, "Finding Structure in Time". Flax's `nnx.SimpleCell` in
    `nnx.RNN` is this without resets and with other outputs at padding; PyTorch has two
    biases and time first by default.
    """
    _check(params, activation, clip)
    axes = "(time, *batch, features)" if time_major else "(*batch, time, features)"
    check_features("x", x, params.w_xh, axes)
    batch = batch_of(x, time_major)
    if state is not None:
        _check_state(state, batch, params)
    params, x, h = same_dtype(params, x, state)
    if h is None:
        h = jnp.zeros((*batch, params.b.shape[0]), params.b.dtype)
    return run_cell(
        functools.partial(_advance, params, activation, clip),
        functools.partial(input_share, params),
        h,
        x,
        lengths=lengths,
        resets=resets,
        reverse=reverse,
        time_major=time_major,
        unroll=unroll,
        checkpoint=checkpoint,
    )


def _advance(params, activation, clip, h, a_t):
    """Compute one step from the input's share `a_t` of the pre-activation."""
    a_t = bounded(a_t + product(h, params.w_hh), clip)
    h = tap(activation(a_t).astype(h.dtype), "h")
    return h, h


def _check(params, activation, clip) -> None:
    check_callables(activation=activation)
    check_clip(clip)
    check_weights(params, "h")


def _check_state(state, batch, params) -> None:
    wanted = (*batch, jnp.shape(params.w_hh)[0])
    check_shape("state", state, wanted, "the batch axes of the input and H of `w_hh`")
