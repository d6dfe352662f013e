"""The simple recurrent network of Elman: one state, one activation, no gates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.activations import Activation, bounded
from jaxnets.functional.recurrence.arguments import check_weights
from jaxnets.functional.recurrence.cell import (
    BoundCell,
    Cell,
    Hooks,
    Part,
    Weights,
    columns,
)
from jaxnets.functional.recurrence.cell_options import (
    CellOptions,
    Draws,
    LayerNormParams,
    masked,
    normalized,
    zoned,
)
from jaxnets.functional.recurrence.initializers import (
    Initializer,
    check_init,
    init_gates,
    input_default,
    recurrent_default,
)
from jaxnets.functional.recurrence.run import run_cell, step_cell
from jaxnets.functional.recurrence.time.cotangents import bounded_cotangents
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


class _OtherParams(NamedTuple):
    """The parameters that the update uses."""

    b: Any
    layer_norm: LayerNormParams | None
    dropout_mask: Any


def _bind(params: RNNParams, options: CellOptions, mask: Any, draws: Draws):
    """Return the cell with its parameters."""
    every = columns(0, 1, jnp.shape(params.w_xh)[1])
    norm = options.layer_norm

    def update(other: _OtherParams, a, h, draws_t: Draws, hooks: Hooks):
        a_t = a["h"]
        if other.layer_norm is not None:
            a_t = normalized(a_t, other.layer_norm.gain_h, other.b)
        after = hooks.activate("activation", bounded(a_t, options.clip), "h")
        h = zoned(options.zoneout[0], draws_t.h, h, after.astype(h.dtype))
        h = hooks.tap(bounded_cotangents(h, options.clip_cotangent), "h")
        return h, h

    return BoundCell(
        kind=RNN,
        options=options,
        weights=Weights(params.w_xh, params.w_hh, params.b if norm is None else None),
        other_params=_OtherParams(None if norm is None else params.b, norm, mask),
        parts=(Part(("h",), every, every),),
        recurrent_input=lambda other, h: masked(h, other.dropout_mask),
        update=update,
        draws=draws,
    )


RNN = Cell(
    name="rnn",
    params=RNNParams,
    gates=("h",),
    taps=("h",),
    widths=lambda params: (check_weights(params, RNNParams, ("h",)),),
    bind=_bind,
    activations=("activation",),
    norms=("gain_h",),
)


def rnn_step(
    params: RNNParams,
    state: Num[ArrayLike, "*batch_hidden"],
    x_t: Num[ArrayLike, "*batch_features"],
    *,
    activation: Activation = jnp.tanh,
    clip: float | None = None,
    layer_norm: bool | LayerNormParams = False,
    zoneout: float = 0.0,
    recurrent_dropout: float | ArrayLike = 0.0,
    key: Key | None = None,
) -> tuple[Inexact[Array, "*batch hidden"], Inexact[Array, "*batch hidden"]]:
    """Advance a simple recurrent network by one step.

    `h_t = activation(x_t @ w_xh + h_{t-1} @ w_hh + b)`, and `y_t = h_t`.

    Args:
        params: `RNNParams`.
        state: `h_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.
        activation: Elementwise function.
        clip: Bound of the absolute pre-activation, or None.
        layer_norm: As in `rnn`.
        zoneout: As in `rnn`.
        recurrent_dropout: As in `rnn`. A rate is drawn anew from each `key`: for one
            mask in all steps give the mask.
        key: As in `rnn`; every step needs its own.

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
    return step_cell(
        RNN,
        params,
        state,
        x_t,
        activation=activation,
        clip=clip,
        layer_norm=layer_norm,
        zoneout=zoneout,
        recurrent_dropout=recurrent_dropout,
        key=key,
    )


def rnn(
    params: RNNParams,
    x: Num[ArrayLike, "*batch_time_features"],
    state: Num[ArrayLike, "*batch_hidden"] | None = None,
    *,
    activation: Activation = jnp.tanh,
    clip: float | None = None,
    layer_norm: bool | LayerNormParams = False,
    zoneout: float = 0.0,
    recurrent_dropout: float | ArrayLike = 0.0,
    key: Key | None = None,
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
    """Run a simple recurrent network over time.

    `h_t = activation(x_t @ w_xh + h_{t-1} @ w_hh + b)`, and `ys[t] = h_t`.

    Args:
        params: `RNNParams`; several sets at once through `jax.vmap`.
        x: `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`. Any number of batch
            axes, also none.
        state: Initial `h (*batch, H)`; None is zeros.
        activation: Elementwise function.
        clip: Bound of the absolute pre-activation, or None.
        layer_norm: Layer normalisation: False, True for gains of one, or
            `LayerNormParams`.
        zoneout: Probability that a unit of h keeps its last value; see `key`.
        recurrent_dropout: Probability that a unit of h is not seen by `w_hh`, in all
            steps of a sequence alike, the others being scaled up; or the mask itself,
            `(*batch, H)`, that h is multiplied with.
        key: Source of what zoneout and recurrent dropout draw, for training. Without
            one nothing is drawn: zoneout mixes by its rate, nothing is dropped.
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
        implementation: "in_place" is made for the standard cell on a CPU; "split"
            computes the gradients of the weights after the backward loop, as "in_place"
            does. Both have no forward mode; "scan" leaves the derivative to JAX and has
            every mode. None chooses: `jaxnets.plan` says what and why.

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
    return run_cell(
        RNN,
        params,
        x,
        state,
        activation=activation,
        clip=clip,
        layer_norm=layer_norm,
        zoneout=zoneout,
        recurrent_dropout=recurrent_dropout,
        key=key,
        clip_cotangent=clip_cotangent,
        lengths=lengths,
        resets=resets,
        reverse=reverse,
        time_major=time_major,
        unroll=unroll,
        checkpoint=checkpoint,
        truncate=truncate,
        implementation=implementation,
    )
