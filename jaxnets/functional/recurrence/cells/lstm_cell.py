"""Long short-term memory, with peepholes, coupled gates and projection."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.activations import SIGMOID, TANH, Activation, clipped
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
    apply_mask,
    apply_zoneout,
    normalized,
)
from jaxnets.functional.recurrence.cells.lstm_params import (
    LSTM_GATES,
    LSTMParams,
    LSTMState,
    lstm_widths,
)
from jaxnets.functional.recurrence.cudnn import CUDNN
from jaxnets.functional.recurrence.kernels.candidate import pallas_kernel
from jaxnets.functional.recurrence.products import product
from jaxnets.functional.recurrence.run import run_cell, step_cell
from jaxnets.functional.recurrence.time.cotangents import clip_cotangents
from jaxnets.functional.shared.sharding import expand_rank
from jaxnets.typing import ArrayLike, Key


class _OtherParams(NamedTuple):
    """The parameters of the update, other than the weights of the pre-activations."""

    peephole: Any
    w_hr: Any
    b: Any
    layer_norm: LayerNormParams | None
    dropout_mask: Any


def _bind(params: LSTMParams, options: CellOptions, mask: Any, draws: Draws):
    """Bind the cell to its parameters and options."""
    every = columns(0, 4, jnp.shape(params.w_xh)[1] // 4)
    norm, options = options.layer_norm, options._replace(layer_norm=None)
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
        recurrent_input=lambda other, state: apply_mask(state.h, other.dropout_mask),
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
    h = apply_zoneout(rate_h, draws.h, jnp.asarray(state.h), h)
    if rate_c:
        # `h` is not computed from this array, which is the one that the state has.
        c = hooks.tap(apply_zoneout(rate_c, draws.c, before, c), "c")
    h = hooks.tap(clip_cotangents(h, options.clip_cotangent), "h")
    return LSTMState(h, c.astype(state.c.dtype)), h


def cell_and_output_gate(
    options: CellOptions, peephole: Any, a, before: jax.Array, hooks: Hooks
) -> tuple[jax.Array, jax.Array]:
    """Compute the new memory cell and the gate o; every LSTM uses these equations.

    Args:
        options: The cell options.
        peephole: Weights from the memory cell to i, f and o `(3, ...)`, or None.
        a: The pre-activations of i, f, g and o, without peepholes.
        before: The memory cell before the step, in the dtype of `a`.
        hooks: The activations and taps.
    """
    p_i, p_f, p_o = (None,) * 3 if peephole is None else peephole

    def activate(option: str, name: str, p: Any = None, c: Any = None) -> jax.Array:
        a_gate = a[name]
        if p is not None:
            a_gate = a_gate + expand_rank(p, c.ndim).astype(c.dtype) * c
        bounded_a = clipped(a_gate, options.clip)
        return hooks.tap(hooks.activate(option, bounded_a, name), name)

    i = activate("gate_activation", "i", p_i, before)
    if options.switches.get("coupled_gates"):
        f = hooks.tap(1 - i, "f")
    else:
        f = activate("gate_activation", "f", p_f, before)
    g = activate("activation", "g")
    c = f * before + i * g
    c = c if options.zoneout[1] else hooks.tap(c, "c")  # c_t is known after zoneout
    return c, activate("gate_activation", "o", p_o, c)


LSTM = Cell(
    name="lstm",
    params=LSTMParams,
    gates=LSTM_GATES,
    taps=("i", "f", "g", "c", "o", "h"),
    widths=lstm_widths,
    bind=_bind,
    state=LSTMState,
    activations={
        "activation": TANH,
        "gate_activation": SIGMOID,
        "output_activation": TANH,
    },
    switches={"coupled_gates": False},
    norms=("gain_h", "gain_x", "gain_c", "bias_c"),
    zero_params=("peephole",),
    nonstandard_params=(("peephole", "peepholes"), ("w_hr", "a projection")),
    kernels=(CUDNN, pallas_kernel("lstm", _bind, coupled_gates=False)),
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
    """Compute one step of a long short-term memory; `lstm` has the equations.

    Args:
        params: `LSTMParams`.
        state: `LSTMState` of `h_{t-1} (*batch, H)`, or `(*batch, P)` with a projection,
            and `c_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.
        activation: Activation of the candidate g.
        gate_activation: Activation of the gates i, f and o.
        output_activation: Activation of the memory cell in the output h'.
        clip: As in `lstm`.
        coupled_gates: As in `lstm`.
        layer_norm: As in `lstm`.
        zoneout: As in `lstm`.
        recurrent_dropout: As in `lstm`. A rate draws a new mask from each `key`; pass
            the mask itself to use the same one in all steps.
        key: As in `lstm`; pass a new key at every step.

    Returns:
        `(LSTMState(h_t, c_t), y_t)`, with `y_t = h_t`.

    Raises:
        ValueError: If the shapes of the arguments do not fit together.
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

    The columns of the weights are blocks, one for each gate: `w_xh = [w_xi, w_xf, w_xg,
    w_xo]`, and `w_hh` and `b` in the same order. The rows of `peephole` are p_i, p_f
    and p_o; without peepholes they are zero. A step computes

        i = gate_activation(x_t @ w_xi + h @ w_hi + b_i + p_i * c)
        f = gate_activation(x_t @ w_xf + h @ w_hf + b_f + p_f * c)
        g = activation(x_t @ w_xg + h @ w_hg + b_g)
        c' = f * c + i * g
        o = gate_activation(x_t @ w_xo + h @ w_ho + b_o + p_o * c')
        h' = o * output_activation(c')

    and, with a projection, `h' = (o * output_activation(c')) @ w_hr`.

    Args:
        params: `LSTMParams`. Use `jax.vmap` to run several sets at once.
        x: Inputs `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`, with any
            number of batch axes.
        state: Initial `LSTMState` of h `(*batch, H)`, or `(*batch, P)` with a
            projection, and c `(*batch, H)`; None is zeros in both.
        activation: Activation of the candidate g.
        gate_activation: Activation of the gates i, f and o.
        output_activation: Activation of the memory cell in the output h'.
        clip: Bound of the absolute values of the pre-activations of i, f, g and o, with
            the peepholes, which are clipped; None means no bound. The memory cell is
            not clipped.
        coupled_gates: Whether f is 1 - i; the columns of f in the weights are then not
            used.
        layer_norm: Whether to normalise the pre-activations: False, True (with gains of
            one), or the gains as `LayerNormParams`.
        zoneout: Probability that a unit keeps its value of the step before: one number,
            or a pair of numbers for h and c; see `key`.
        recurrent_dropout: Probability that a unit of h is replaced by zero where `w_hh`
            multiplies it. The same units are dropped in all steps of a sequence, and
            the others are divided by one minus the rate. Or the mask itself, which
            multiplies h, `(*batch, H)`, or `(*batch, P)` with a projection.
        key: Random key for zoneout and recurrent dropout, for training. Without a key
            nothing is drawn: zoneout mixes the old and the new state,
            `rate * h + (1 - rate) * h'` and c likewise, and a rate of recurrent dropout
            has no effect.
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
        implementation: "scan" is a loop that JAX differentiates; it supports forward
            and reverse mode. "split" computes the gradients of the weights after the
            backward loop. "in_place" does so too and stores its residuals in the memory
            of `x @ w_xh`; it is meant for CPUs and supports only the standard cell, in
            which the activations are tanh, sigmoid or relu, there are no peepholes and
            no projection, and no other cell option and no `clip_cotangent` is used.
            Both support reverse mode only. "cudnn" is NVIDIA's LSTM, for float32 and
            the standard cell. It supports neither forward mode nor second derivatives
            nor `jax.vmap`. It was never tested on a GPU, and runs only if it is named.
            "pallas" computes all steps in one kernel, on TPUs and on NVIDIA's H100 and
            H200, in float32 and bfloat16. It supports the standard cell, but not
            `checkpoint`, `truncate`, forward mode or taps that are measured. With
            several devices it runs only inside `jax.shard_map`. It was tested in an
            interpreter and compiled for these devices, but has not run on one yet. On a
            kind of device where it was not timed, it runs only if it is named. None
            chooses; `jaxnets.plan` says which one runs and why.

    Returns:
        `(LSTMState(h, c), ys)`: the final state, and h of all steps, `(*batch, T, H)`
        or `(*batch, T, P)`, with time on the same axis as in `x`. All have the promoted
        dtype of the arguments.

    Raises:
        ValueError: If the shapes of the arguments do not fit together, or an option is
            out of range.
        TypeError: If an argument has the wrong type, such as float lengths.

    Under `jaxnets.gradflow.measure` the taps `h` and `c` record the total `dL/dh_t` and
    `dL/dc_t`, and the taps `i`, `f`, `g` and `o` record the derivatives with respect to
    the gates and the candidate, after their activations. With zoneout, h_t and c_t are
    the arrays after it, as in the state.

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
    Neural Network Architectures for Large Scale Acoustic Modeling". There is one bias,
    where PyTorch adds two. Flax and Keras have no peepholes, projection, clip or
    coupled gates; PyTorch has only the projection.
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
