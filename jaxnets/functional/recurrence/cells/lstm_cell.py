"""Long short-term memory, with peepholes, coupled gates and projection."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.activations import Activation, bounded
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
from jaxnets.functional.recurrence.cells.cudnn import CUDNN
from jaxnets.functional.recurrence.cells.lstm_params import (
    LSTM_GATES,
    LSTMParams,
    LSTMState,
    lstm_widths,
)
from jaxnets.functional.recurrence.products import product
from jaxnets.functional.recurrence.run import run_cell, step_cell
from jaxnets.functional.recurrence.time.cotangents import bounded_cotangents
from jaxnets.typing import ArrayLike, Key


class _OtherParams(NamedTuple):
    """The parameters that the update uses."""

    peephole: Any
    w_hr: Any
    b: Any
    layer_norm: LayerNormParams | None
    dropout_mask: Any


def _bind(params: LSTMParams, options: CellOptions, mask: Any, draws: Draws):
    """Return the cell with its parameters."""
    every = columns(0, 4, jnp.shape(params.w_xh)[1] // 4)
    norm = options.layer_norm
    parts = (Part(LSTM.gates, every, every),)
    if norm is not None:
        parts = (Part(("x",), every, None), Part(("h",), None, every))
    return BoundCell(
        kind=LSTM,
        options=options,
        weights=Weights(params.w_xh, params.w_hh, params.b if norm is None else None),
        other_params=_OtherParams(
            params.peephole, params.w_hr, None if norm is None else params.b, norm, mask
        ),
        parts=parts,
        recurrent_input=lambda other, state: masked(state.h, other.dropout_mask),
        update=functools.partial(_update, options),
        draws=draws,
    )


def _update(
    options: CellOptions,
    other: _OtherParams,
    a,
    state: LSTMState,
    draws: Draws,
    hooks: Hooks,
):
    """Compute gates, memory cell and output from the pre-activations."""
    norm: Any = other.layer_norm
    if norm is not None:
        total = normalized(a["x"], norm.gain_x)
        total = total + normalized(a["h"], norm.gain_h, other.b)
        a = dict(zip(LSTM.gates, jnp.split(total, 4, axis=-1), strict=True))
    before = jnp.asarray(state.c).astype(a["i"].dtype)
    c, o = cell_and_output_gate(options, other.peephole, a, before, hooks)
    out = c if norm is None else normalized(c, norm.gain_c, norm.bias_c)
    h = (o * hooks.activate("output_activation", out)).astype(state.c.dtype)
    if other.w_hr is not None:
        h = product(h, other.w_hr).astype(h.dtype)
    rate_h, rate_c = options.zoneout
    h = zoned(rate_h, draws.h, jnp.asarray(state.h), h)
    c = zoned(rate_c, draws.c, before, c)
    h = hooks.tap(bounded_cotangents(h, options.clip_cotangent), "h")
    return LSTMState(h, c.astype(state.c.dtype)), h


def cell_and_output_gate(
    options: CellOptions, peephole: Any, a, before: jax.Array, hooks: Hooks
) -> tuple[jax.Array, jax.Array]:
    """Compute the new memory cell and the gate o, the heart of every LSTM.

    Args:
        options: The cell options.
        peephole: `(3, ...)` weights from the cell to i, f and o, or None.
        a: The pre-activations of i, f, g and o, without peepholes.
        before: The last memory cell, in the dtype of `a`.
        hooks: How the equations are evaluated.
    """
    p_i, p_f, p_o = (None,) * 3 if peephole is None else peephole

    def activate(option: str, name: str, p: Any = None, c: Any = None) -> jax.Array:
        a_gate = a[name]
        if p is not None:
            a_gate = a_gate + jnp.broadcast_to(p, c.shape).astype(c.dtype) * c
        bounded_a = bounded(a_gate, options.clip)
        return hooks.tap(hooks.activate(option, bounded_a, name), name)

    i = activate("gate_activation", "i", p_i, before)
    if options.coupled_gates:
        f = hooks.tap(1 - i, "f")
    else:
        f = activate("gate_activation", "f", p_f, before)
    g = activate("activation", "g")
    c = hooks.tap(f * before + i * g, "c")
    return c, activate("gate_activation", "o", p_o, c)


LSTM = Cell(
    name="lstm",
    params=LSTMParams,
    gates=LSTM_GATES,
    taps=("i", "f", "g", "c", "o", "h"),
    widths=lstm_widths,
    bind=_bind,
    state=LSTMState,
    activations=("activation", "gate_activation", "output_activation"),
    norms=("gain_h", "gain_x", "gain_c", "bias_c"),
    zero_params=("peephole",),
    departures=(("peephole", "peepholes"), ("w_hr", "a projection")),
    kernels=(CUDNN,),
)


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
    return step_cell(
        LSTM,
        params,
        state,
        x_t,
        activation=activation,
        gate_activation=gate_activation,
        output_activation=output_activation,
        clip=clip,
        coupled_gates=coupled_gates,
        layer_norm=layer_norm,
        zoneout=zoneout,
        recurrent_dropout=recurrent_dropout,
        key=key,
    )


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
    return run_cell(
        LSTM,
        params,
        x,
        state,
        activation=activation,
        gate_activation=gate_activation,
        output_activation=output_activation,
        clip=clip,
        coupled_gates=coupled_gates,
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
