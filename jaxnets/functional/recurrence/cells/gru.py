"""The gated recurrent unit, with the reset gate after or before the product."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.arguments import (
    batch_of,
    check_callables,
    check_clip,
    check_features,
    check_shape,
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
from jaxnets.functional.recurrence.cells.gru_cell import GRUOptions, gru_cell
from jaxnets.functional.recurrence.cells.gru_params import GRUParams
from jaxnets.functional.recurrence.run import (
    choose_recurrence,
    in_place_candidate,
    run_cell,
)
from jaxnets.functional.recurrence.standard_cell import STANDARD, departure
from jaxnets.functional.recurrence.time.options import check_clip_cotangent
from jaxnets.functional.shared.arguments import as_switch
from jaxnets.typing import ArrayLike, Key


def gru_step(
    params: GRUParams,
    state: Num[ArrayLike, "*batch_hidden"],
    x_t: Num[ArrayLike, "*batch_features"],
    *,
    activation: Activation = jnp.tanh,
    gate_activation: Activation = jax.nn.sigmoid,
    clip: float | None = None,
    reset_after: bool = True,
    layer_norm: bool | LayerNormParams = False,
    zoneout: float = 0.0,
    recurrent_dropout: float | ArrayLike = 0.0,
    key: Key | None = None,
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
        layer_norm: As in `gru`.
        zoneout: As in `gru`.
        recurrent_dropout: As in `gru`. A rate is drawn anew from each `key`: for one
            mask in all steps give the mask.
        key: As in `gru`; every step needs its own.

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
    hidden, options = _options(
        params, activation, gate_activation, clip, reset_after, layer_norm, zoneout
    )
    check_features("x_t", x_t, params.w_xh, "(*batch, features)")
    shape = (*jnp.shape(x_t)[:-1], hidden)
    check_state(state, shape)
    mask = dropout_mask(recurrent_dropout, key, shape)
    params, norm, h, x_t = same_dtype(params, options.layer_norm, state, x_t)
    options = options._replace(layer_norm=norm, dropout_mask=mask)
    draws = draw_zoneout(key, (zoneout,), (shape,))
    return cell_step(gru_cell(params, options, draws, lambda f: f), h, x_t)


def gru(
    params: GRUParams,
    x: Num[ArrayLike, "*batch_time_features"],
    state: Num[ArrayLike, "*batch_hidden"] | None = None,
    *,
    activation: Activation = jnp.tanh,
    gate_activation: Activation = jax.nn.sigmoid,
    clip: float | None = None,
    reset_after: bool = True,
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
    hidden, options = _options(
        params, activation, gate_activation, clip, reset_after, layer_norm, zoneout
    )
    check_clip_cotangent(clip_cotangent)
    axes = "(time, *batch, features)" if time_major else "(*batch, time, features)"
    check_features("x", x, params.w_xh, axes)
    shape = (*batch_of(x, time_major), hidden)
    if state is not None:
        check_state(state, shape)
    mask = dropout_mask(recurrent_dropout, key, shape)
    params, norm, x, h = same_dtype(params, options.layer_norm, x, state)
    options = options._replace(
        layer_norm=norm, dropout_mask=mask, clip_cotangent=clip_cotangent
    )
    time = jnp.shape(x)[0 if time_major else -2]
    draws = draw_zoneout(key, (zoneout,), ((time, *shape),))
    in_place = in_place_candidate(departure(options, params, STANDARD), x.dtype, time)
    return run_cell(
        choose_recurrence(implementation, "gru", in_place),
        functools.partial(gru_cell, params, options, draws),
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


def _options(
    params, activation, gate_activation, clip, reset_after, layer_norm, zoneout
) -> tuple[int, GRUOptions]:
    """Check weights and cell options; return H and the options, without the mask."""
    check_callables(activation=activation, gate_activation=gate_activation)
    check_clip(clip)
    check_rate("zoneout", zoneout)
    hidden = check_weights(params, GRUParams, "r, z, n")
    if params.b_hn is not None:
        check_shape("params.b_hn", params.b_hn, (hidden,), "one bias for each unit")
    columns = 3 * hidden
    norm = parse_layer_norm(layer_norm, params.b.dtype, gain_h=columns, gain_x=columns)
    return hidden, GRUOptions(
        activation,
        gate_activation,
        clip,
        as_switch(reset_after, "reset_after"),
        norm,
        zoneout,
    )
