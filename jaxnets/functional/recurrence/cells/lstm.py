"""Long short-term memory, with peepholes, coupled gates and projection."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.arguments import (
    batch_of,
    check_callables,
    check_clip,
    check_features,
    same_dtype,
)
from jaxnets.functional.recurrence.cell import Activation, cell_step
from jaxnets.functional.recurrence.cell_options import (
    LayerNormParams,
    draw_zoneout,
    dropout_mask,
    parse_layer_norm,
    parse_zoneout,
)
from jaxnets.functional.recurrence.cells.cudnn import cudnn_candidate, cudnn_lstm
from jaxnets.functional.recurrence.cells.lstm_cell import LSTMOptions, lstm_cell
from jaxnets.functional.recurrence.cells.lstm_params import (
    LSTMParams,
    LSTMState,
    check_lstm,
    check_lstm_state,
)
from jaxnets.functional.recurrence.run import (
    choose_recurrence,
    in_place_candidate,
    run_cell,
)
from jaxnets.functional.recurrence.standard_cell import STANDARD, departure
from jaxnets.functional.recurrence.time.options import check_clip_cotangent
from jaxnets.functional.shared.arguments import as_switch
from jaxnets.typing import ArrayLike, Key


def lstm_step(
    params: LSTMParams,
    state: LSTMState,
    x_t: Num[ArrayLike, "*batch_features"],
    *,
    activation: Activation = jnp.tanh,
    gate_activation: Activation = jax.nn.sigmoid,
    output_activation: Activation = jnp.tanh,
    clip: float | None = None,
    coupled_gates: bool = False,
    layer_norm: bool | LayerNormParams = False,
    zoneout: float | tuple[float, float] = 0.0,
    recurrent_dropout: float | ArrayLike = 0.0,
    key: Key | None = None,
) -> tuple[LSTMState, Inexact[Array, "*batch outputs"]]:
    """Advance a long short-term memory by one step; the maths is at `lstm`.

    Args:
        params: `LSTMParams`.
        state: `LSTMState` of `h_{t-1} (*batch, H)`, or `(*batch, P)` with a projection,
            and `c_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.
        activation: Function of the candidate g.
        gate_activation: Function of the gates i, f and o.
        output_activation: Function of the cell on its way out.
        clip: Bound of the absolute pre-activations, or None.
        coupled_gates: Whether f is 1 - i.
        layer_norm: As in `lstm`.
        zoneout: As in `lstm`.
        recurrent_dropout: As in `lstm`. A rate is drawn anew from each `key`: for one
            mask in all steps give the mask.
        key: As in `lstm`; every step needs its own.

    Returns:
        `(LSTMState(h_t, c_t), y_t)`, with `y_t = h_t`.

    Raises:
        ValueError: If a shape does not fit the others, naming the argument.
        TypeError: If an activation is not callable, `state` is not a pair, or no array
            is floating point.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import LSTMState, init_lstm, lstm_step
        >>> params = init_lstm(jax.random.key(0), 4, 3)
        >>> state = LSTMState(h=jnp.zeros((2, 3)), c=jnp.zeros((2, 3)))
        >>> state, y = lstm_step(params, state, jnp.ones((2, 4)))
        >>> state.c.shape
        (2, 3)

    Source: as `lstm`.
    """
    hidden, outputs = check_lstm(params)
    options = _options(
        (activation, gate_activation, output_activation),
        clip,
        coupled_gates,
        _norm(layer_norm, params, hidden),
        zoneout,
        None,
    )
    check_features("x_t", x_t, params.w_xh, "(*batch, features)")
    batch = jnp.shape(x_t)[:-1]
    check_lstm_state(state, batch, hidden, outputs)
    mask = dropout_mask(recurrent_dropout, key, (*batch, outputs))
    params, norm, state, x_t = same_dtype(
        params, options.layer_norm, LSTMState(*state), x_t
    )
    options = options._replace(layer_norm=norm, dropout_mask=mask)
    draws = draw_zoneout(key, options.zoneout, ((*batch, outputs), (*batch, hidden)))
    cell = lstm_cell(params, options, draws, lambda activation: activation)
    return cell_step(cell, state, x_t)


def lstm(
    params: LSTMParams,
    x: Num[ArrayLike, "*batch_time_features"],
    state: LSTMState | None = None,
    *,
    activation: Activation = jnp.tanh,
    gate_activation: Activation = jax.nn.sigmoid,
    output_activation: Activation = jnp.tanh,
    clip: float | None = None,
    coupled_gates: bool = False,
    layer_norm: bool | LayerNormParams = False,
    zoneout: float | tuple[float, float] = 0.0,
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
) -> tuple[LSTMState, Inexact[Array, "*lead outputs"]]:
    """Run a long short-term memory over time.

    With `w_xh = [w_xi, w_xf, w_xg, w_xo]`, `w_hh` and `b` alike, and `peephole` rows
    p_i, p_f and p_o (zero where there are none):

        i = gate_activation(x_t @ w_xi + h @ w_hi + b_i + p_i * c)
        f = gate_activation(x_t @ w_xf + h @ w_hf + b_f + p_f * c)
        g = activation(x_t @ w_xg + h @ w_hg + b_g)
        c' = f * c + i * g
        o = gate_activation(x_t @ w_xo + h @ w_ho + b_o + p_o * c')
        h' = o * output_activation(c'),  and with a projection  h' = (...) @ w_hr

    Args:
        params: `LSTMParams`; several sets at once through `jax.vmap`.
        x: `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`. Any number of batch
            axes, also none.
        state: Initial `LSTMState` of h `(*batch, H)`, or `(*batch, P)` with a
            projection, and c `(*batch, H)`; None is zeros.
        activation: Function of the candidate g.
        gate_activation: Function of the gates i, f and o.
        output_activation: Function of the cell on its way out.
        clip: Bound of the absolute pre-activations of i, f, g and o after peepholes, or
            None. The cell is not bounded.
        coupled_gates: Whether f is 1 - i. The f columns of the weights are then unread.
        layer_norm: Layer normalisation: False, True for gains of one, or
            `LayerNormParams`.
        zoneout: Probability for h and for c, or one number for both, that a unit keeps
            its last value; see `key`.
        recurrent_dropout: Probability that a unit of h is not seen by `w_hh`, in all
            steps of a sequence alike, the others being scaled up; or the mask itself,
            `(*batch, H)`, that h is multiplied with.
        key: Source of what zoneout and recurrent dropout draw, for training. Without
            one nothing is drawn: zoneout mixes by its rates, nothing is dropped.
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
            every mode; "cudnn" is NVIDIA's, for float32 and the standard cell, without
            forward mode, second order and `jax.vmap`, and was never run on a GPU by its
            authors. None chooses: `jaxnets.plan` says what and why.

    Returns:
        `(LSTMState(h, c), ys)`: the final state and all h, with time as in `x`, in the
        promoted dtype of the arguments.

    Raises:
        ValueError: If a shape does not fit the others or an option is out of range.
        TypeError: If an argument is of the wrong kind, such as float lengths.

    Under `jaxnets.gradflow.measure` the taps `h` and `c` see the whole of `dL/dh_t` and
    `dL/dc_t`; the taps `i`, `f`, `g` and `o` see that of the gates and the candidate
    after their activations.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_lstm, lstm
        >>> params = init_lstm(jax.random.key(0), 4, 3)
        >>> state, ys = lstm(params, jnp.ones((2, 5, 4)), lengths=jnp.array([5, 2]))
        >>> state.c.shape, ys.shape
        ((2, 3), (2, 5, 3))

    Source: Hochreiter and Schmidhuber 1997, "Long Short-Term Memory"; forget gate: Gers
    et al. 2000, "Learning to Forget"; the variants: Greff et al. 2017, "LSTM: A Search
    Space Odyssey"; projection: Sak et al. 2014, "Long Short-Term Memory Recurrent
    Neural Network Architectures for Large Scale Acoustic Modeling". One bias, where
    PyTorch has two that are added. Flax and Keras have no peepholes, projection, clip
    or coupled gates; PyTorch has the projection only.
    """
    hidden, outputs = check_lstm(params)
    options = _options(
        (activation, gate_activation, output_activation),
        clip,
        coupled_gates,
        _norm(layer_norm, params, hidden),
        zoneout,
        clip_cotangent,
    )
    axes = "(time, *batch, features)" if time_major else "(*batch, time, features)"
    check_features("x", x, params.w_xh, axes)
    batch = batch_of(x, time_major)
    if state is not None:
        check_lstm_state(state, batch, hidden, outputs)
        state = LSTMState(*state)
    mask = dropout_mask(recurrent_dropout, key, (*batch, outputs))
    params, norm, x, state = same_dtype(params, options.layer_norm, x, state)
    options = options._replace(layer_norm=norm, dropout_mask=mask)
    if state is None:
        shapes = (*batch, outputs), (*batch, hidden)
        state = LSTMState(*(jnp.zeros(shape, x.dtype) for shape in shapes))
    lead = (jnp.shape(x)[0 if time_major else -2], *batch)
    draws = draw_zoneout(key, options.zoneout, ((*lead, outputs), (*lead, hidden)))
    cudnn = cudnn_candidate(
        params,
        options,
        x,
        time_major=time_major,
        resets=resets,
        checkpoint=checkpoint,
        truncate=truncate,
    )
    departs = departure(options, params, STANDARD)
    in_place = in_place_candidate(departs, x.dtype, lead[0])
    chosen = choose_recurrence(implementation, "lstm", in_place, [cudnn])
    if chosen == "cudnn":
        order = {"reverse": reverse, "time_major": time_major}
        return cudnn_lstm(params, x, state, lengths=lengths, **order)
    return run_cell(
        chosen,
        functools.partial(lstm_cell, params, options, draws),
        state,
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
    activations, clip, coupled_gates, layer_norm, zoneout, clip_cotangent
) -> LSTMOptions:
    """Check and parse the cell options; the dropout mask comes later."""
    names = ("activation", "gate_activation", "output_activation")
    check_callables(**dict(zip(names, activations, strict=True)))
    check_clip(clip)
    check_clip_cotangent(clip_cotangent)
    activation, gate_activation, output_activation = activations
    return LSTMOptions(
        activation=activation,
        gate_activation=gate_activation,
        output_activation=output_activation,
        clip=clip,
        coupled_gates=as_switch(coupled_gates, "coupled_gates"),
        layer_norm=layer_norm,
        zoneout=parse_zoneout(zoneout),
        dropout_mask=None,
        clip_cotangent=clip_cotangent,
    )


def _norm(layer_norm, params: LSTMParams, hidden: int) -> LayerNormParams | None:
    columns = 4 * hidden
    return parse_layer_norm(
        layer_norm, params.b.dtype, gain_h=columns, gain_x=columns, gain_c=hidden
    )
