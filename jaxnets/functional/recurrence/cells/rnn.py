"""The simple recurrent network of Elman: one state, one activation, no gates."""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.arguments import (
    batch_of,
    check_callables,
    check_clip,
    check_features,
    check_state,
    check_weights,
    same_dtype,
)
from jaxnets.functional.recurrence.cell import Activation, cell_step
from jaxnets.functional.recurrence.cell_options import (
    LayerNormParams,
    check_rate,
    draw_zoneout,
    dropout_mask,
    parse_layer_norm,
)
from jaxnets.functional.recurrence.cells.rnn_cell import SLOPES, RNNOptions, rnn_cell
from jaxnets.functional.recurrence.cells.rnn_params import RNNParams
from jaxnets.functional.recurrence.run import (
    choose_recurrence,
    in_place_candidate,
    run_cell,
)
from jaxnets.functional.recurrence.standard_cell import departure
from jaxnets.functional.recurrence.time.options import check_clip_cotangent
from jaxnets.typing import ArrayLike, Key


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
    hidden, options = _options(params, activation, clip, layer_norm, zoneout, None)
    check_features("x_t", x_t, params.w_xh, "(*batch, features)")
    shape = (*jnp.shape(x_t)[:-1], hidden)
    check_state(state, shape)
    mask = dropout_mask(recurrent_dropout, key, shape)
    params, norm, h, x_t = same_dtype(params, options.layer_norm, state, x_t)
    options = options._replace(layer_norm=norm, dropout_mask=mask)
    draws = draw_zoneout(key, (zoneout,), (shape,))
    return cell_step(rnn_cell(params, options, draws, lambda f: f), h, x_t)


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
    hidden, options = _options(
        params, activation, clip, layer_norm, zoneout, clip_cotangent
    )
    axes = "(time, *batch, features)" if time_major else "(*batch, time, features)"
    check_features("x", x, params.w_xh, axes)
    shape = (*batch_of(x, time_major), hidden)
    if state is not None:
        check_state(state, shape)
    mask = dropout_mask(recurrent_dropout, key, shape)
    params, norm, x, h = same_dtype(params, options.layer_norm, x, state)
    options = options._replace(layer_norm=norm, dropout_mask=mask)
    time = jnp.shape(x)[0 if time_major else -2]
    draws = draw_zoneout(key, (zoneout,), ((time, *shape),))
    in_place = in_place_candidate(
        departure(options, params, {"activation": tuple(SLOPES)}),
        x.dtype,
        time,
    )
    return run_cell(
        choose_recurrence(implementation, "rnn", in_place),
        functools.partial(rnn_cell, params, options, draws),
        jnp.zeros(shape, x.dtype) if h is None else h,
        x,
        clip_cotangent=clip_cotangent,
        lengths=lengths,
        resets=resets,
        reverse=reverse,
        time_major=time_major,
        unroll=unroll,
        checkpoint=checkpoint,
        truncate=truncate,
    )


def _options(params, activation, clip, layer_norm, zoneout, clip_cotangent):
    """Check weights and cell options; return H and the options, without the mask."""
    check_callables(activation=activation)
    check_clip(clip)
    check_clip_cotangent(clip_cotangent)
    check_rate("zoneout", zoneout)
    hidden = check_weights(params, RNNParams, "h")
    norm = parse_layer_norm(layer_norm, params.b.dtype, gain_h=hidden)
    return hidden, RNNOptions(activation, clip, norm, zoneout, None, clip_cotangent)
