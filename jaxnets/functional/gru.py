"""The gated recurrent unit, with the reset gate after or before the product."""

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


class GRUParams(NamedTuple):
    """Weights of a gated recurrent unit, columns in the order r, z, n.

    Attributes:
        w_xh: `(D, 3*H)`, from the input. Row vectors: `x_t @ w_xh`.
        w_hh: `(H, 3*H)`, from the last state.
        b: `(3*H,)`.
        b_hn: `(H,)`, the bias of the state's share of the candidate; None is none.

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


class _Cell(NamedTuple):
    """The cell options of a gated recurrent unit."""

    activation: Activation
    gate_activation: Activation
    clip: float | None
    reset_after: bool


def init_gru(
    key: Key,
    in_features: int,
    hidden: int,
    *,
    input_init: Initializer = input_default,
    recurrent_init: Initializer = recurrent_default,
    dtype: DTypeLike = jnp.float32,
) -> GRUParams:
    """Draw the weights of `gru`, by the same rules as `init_rnn` and `init_lstm`.

    Args:
        key: Random key.
        in_features: Size D of `x_t`.
        hidden: Size H of `h_t`.
        input_init: Rule for each gate's `(D, H)` block of `w_xh`; by default normal
            with variance 1/D, truncated.
        recurrent_init: Rule for each gate's `(H, H)` block of `w_hh`; by default
            orthogonal, all singular values 1.
        dtype: Dtype of the weights.

    Returns:
        `GRUParams` with zero biases, `b_hn` among them.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_gru
        >>> init_gru(jax.random.key(0), 4, 3).w_hh.shape
        (3, 9)

    Source: Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks" (orthogonal). Flax's `nnx.GRUCell` and Keras draw one
    orthogonal matrix for all gates, for singular values of 0.58 in each.
    """
    check_sizes(in_features=in_features, hidden=hidden)
    input_key, recurrent_key = jax.random.split(key)
    return GRUParams(
        w_xh=init_gates(input_init, input_key, in_features, hidden, 3, dtype),
        w_hh=init_gates(recurrent_init, recurrent_key, hidden, hidden, 3, dtype),
        b=jnp.zeros(3 * hidden, dtype),
        b_hn=jnp.zeros(hidden, dtype),
    )


def gru_step(
    params: GRUParams,
    state: Num[ArrayLike, "*batch_hidden"],
    x_t: Num[ArrayLike, "*batch_features"],
    *,
    activation: Activation = jnp.tanh,
    gate_activation: Activation = jax.nn.sigmoid,
    clip: float | None = None,
    reset_after: bool = True,
) -> tuple[Inexact[Array, "*batch hidden"], Inexact[Array, "*batch hidden"]]:
    """Advance a gated recurrent unit by one step; the maths is at `gru`.

    Args:
        params: `GRUParams`.
        state: `h_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.
        activation: Function of the candidate n.
        gate_activation: Function of the gates r and z.
        clip: Bound of the absolute pre-activations, or None.
        reset_after: Whether r multiplies the state's product or the state.

    Returns:
        `(h_t, y_t)`, the same array twice.

    Raises:
        ValueError: If a shape does not fit the others, naming the argument.
        TypeError: If an activation is not callable or no array is floating point.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import gru_step, init_gru
        >>> params = init_gru(jax.random.key(0), 4, 3)
        >>> h, y = gru_step(params, jnp.zeros((2, 3)), jnp.ones((2, 4)))
        >>> h.shape
        (2, 3)

    Source: as `gru`.
    """
    cell = _Cell(activation, gate_activation, clip, reset_after)
    _check(params, cell)
    check_features("x_t", x_t, params.w_xh, "(*batch, features)")
    _check_state(state, jnp.shape(x_t)[:-1], params)
    params, h, x_t = same_dtype(params, state, x_t)
    return _advance(params, cell, h, input_share(params, x_t))


def gru(
    params: GRUParams,
    x: Num[ArrayLike, "*batch_time_features"],
    state: Num[ArrayLike, "*batch_hidden"] | None = None,
    *,
    activation: Activation = jnp.tanh,
    gate_activation: Activation = jax.nn.sigmoid,
    clip: float | None = None,
    reset_after: bool = True,
    lengths: Shaped[ArrayLike, "*batch"] | None = None,
    resets: Shaped[ArrayLike, "*batch_time"] | None = None,
    reverse: bool = False,
    time_major: bool = False,
    unroll: int = 1,
    checkpoint: int | str | None = None,
) -> tuple[Inexact[Array, "*batch hidden"], Inexact[Array, "*lead hidden"]]:
    """Run a gated recurrent unit over time.

    With `w_xh = [w_xr, w_xz, w_xn]`, and `w_hh` and `b` alike:

        r = gate_activation(x_t @ w_xr + h @ w_hr + b_r)
        z = gate_activation(x_t @ w_xz + h @ w_hz + b_z)
        n = activation(x_t @ w_xn + b_n + r * (h @ w_hn + b_hn))    reset_after=True
        n = activation(x_t @ w_xn + b_n + (r * h) @ w_hn + b_hn)    reset_after=False
        h' = (1 - z) * n + z * h

    Args:
        params: `GRUParams`; several sets at once through `jax.vmap`.
        x: `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`. Any number of batch
            axes, also none.
        state: Initial `h (*batch, H)`; None is zeros.
        activation: Function of the candidate n.
        gate_activation: Function of the gates r and z.
        clip: Bound of the absolute pre-activations of r, z and n, or None.
        reset_after: Whether r multiplies the state's product or the state.
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

    Under `jaxnets.gradflow.measure` the tap `h` sees the whole of `dL/dh_t`; the taps
    `r`, `z` and `n` see that of the gates and the candidate after their activations.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import gru, init_gru
        >>> params = init_gru(jax.random.key(0), 4, 3)
        >>> h, ys = gru(params, jnp.ones((2, 5, 4)), lengths=jnp.array([5, 2]))
        >>> h.shape, ys.shape
        ((2, 3), (2, 5, 3))

    Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder
    for Statistical Machine Translation" (`reset_after=False`). `reset_after=True` is
    the form of PyTorch and cuDNN. Flax's `nnx.GRUCell` lacks `b_hn`; Keras has the same
    maths with the columns z, r, n.
    """
    cell = _Cell(activation, gate_activation, clip, reset_after)
    _check(params, cell)
    axes = "(time, *batch, features)" if time_major else "(*batch, time, features)"
    check_features("x", x, params.w_xh, axes)
    batch = batch_of(x, time_major)
    if state is not None:
        _check_state(state, batch, params)
    params, x, h = same_dtype(params, x, state)
    if h is None:
        h = jnp.zeros((*batch, params.w_hh.shape[0]), params.b.dtype)
    return run_cell(
        functools.partial(_advance, params, cell),
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


def _advance(params, cell, h, a_t):
    """Compute one step from the input's share `a_t` of the pre-activations."""
    hidden = h.shape[-1]
    wide = a_t.dtype
    b_hn = jnp.zeros(hidden, wide) if params.b_hn is None else params.b_hn.astype(wide)
    b_hn = jnp.broadcast_to(b_hn, h.shape)
    gate = lambda a, name: tap(cell.gate_activation(bounded(a, cell.clip)), name)

    if cell.reset_after:
        from_state = product(h, params.w_hh)
        a_r, a_z = jnp.split((a_t + from_state)[..., : 2 * hidden], 2, axis=-1)
        r = gate(a_r, "r")
        a_n = a_t[..., 2 * hidden :] + r * (from_state[..., 2 * hidden :] + b_hn)
    else:
        w_rz, w_hn = jnp.split(params.w_hh, [2 * hidden], axis=1)
        a_r, a_z = jnp.split(a_t[..., : 2 * hidden] + product(h, w_rz), 2, axis=-1)
        r = gate(a_r, "r")
        reset = (r * h.astype(wide)).astype(h.dtype)
        a_n = a_t[..., 2 * hidden :] + product(reset, w_hn) + b_hn
    z = gate(a_z, "z")
    n = tap(cell.activation(bounded(a_n, cell.clip)), "n")
    h = tap(((1 - z) * n + z * h.astype(wide)).astype(h.dtype), "h")
    return h, h


def _check(params, cell) -> None:
    check_callables(activation=cell.activation, gate_activation=cell.gate_activation)
    check_clip(cell.clip)
    hidden = check_weights(params, "r, z, n")
    if params.b_hn is not None:
        check_shape("params.b_hn", params.b_hn, (hidden,), "one bias for each unit")


def _check_state(state, batch, params) -> None:
    wanted = (*batch, jnp.shape(params.w_hh)[0])
    check_shape("state", state, wanted, "the batch axes of the input and H of `w_hh`")
