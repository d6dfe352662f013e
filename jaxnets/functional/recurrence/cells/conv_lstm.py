"""The LSTM whose products are convolutions: a state with a place for every pixel."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Shaped

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.recurrence.arguments import (
    check_array,
    check_callables,
    check_kind,
    same_dtype,
)
from jaxnets.functional.recurrence.cell import Activation, activated, wide
from jaxnets.functional.recurrence.cells.conv_lstm_params import (
    ConvLSTMParams,
    check_conv_lstm,
)
from jaxnets.functional.recurrence.cells.lstm_params import LSTMState, check_lstm_state
from jaxnets.functional.recurrence.custom_step import scan_steps
from jaxnets.functional.recurrence.time.cotangents import bounded_cotangents, explained
from jaxnets.functional.recurrence.time.options import check_clip_cotangent, parse_scan
from jaxnets.tap import tap
from jaxnets.typing import ArrayLike


class _Options(NamedTuple):
    """The cell options."""

    activation: Activation
    gate_activation: Activation
    clip_cotangent: float | None


def conv_lstm(
    params: ConvLSTMParams,
    x: Shaped[ArrayLike, "..."],
    state: LSTMState | None = None,
    *,
    activation: Activation = jnp.tanh,
    gate_activation: Activation = jax.nn.sigmoid,
    lengths: Shaped[ArrayLike, "*batch"] | None = None,
    resets: Shaped[ArrayLike, "*batch_time"] | None = None,
    reverse: bool = False,
    time_major: bool = False,
    unroll: int = 1,
    checkpoint: int | str | None = None,
    truncate: int | None = None,
    clip_cotangent: float | None = None,
) -> tuple[LSTMState, Inexact[Array, "..."]]:
    """Run a convolutional LSTM over time: over films, or series of maps.

    That of `lstm`, with convolutions for its products. With `w_xh = [w_xi, w_xf, w_xg,
    w_xo]`, `w_hh` and `b` alike, and `peephole` rows p_i, p_f and p_o (zero where there
    are none):

        i = gate_activation(conv(x_t, w_xi) + conv(h, w_hi) + b_i + p_i * c)
        f = gate_activation(conv(x_t, w_xf) + conv(h, w_hf) + b_f + p_f * c)
        g = activation(conv(x_t, w_xg) + conv(h, w_hg) + b_g)
        c' = f * c + i * g
        o = gate_activation(conv(x_t, w_xo) + conv(h, w_ho) + b_o + p_o * c')
        h' = o * activation(c')

    Padding is "SAME" with zeros, so that maps keep their spatial shape.

    Args:
        params: `ConvLSTMParams`. The kernels say how many spatial axes there are.
        x: `(*batch, T, *spatial, D)`, or `(T, *batch, *spatial, D)` with `time_major`.
            Any number of batch axes, also none.
        state: Initial `LSTMState` of h and c `(*batch, *spatial, H)`; None is zeros.
        activation: Function of the candidate g, and of the cell on its way out.
        gate_activation: Function of the gates i, f and o.
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

    Returns:
        `(LSTMState(h, c), ys)`: the final state and all h `(*batch, T, *spatial, H)`,
        with time as in `x`, in the promoted dtype of the arguments.

    Raises:
        ValueError: If a shape does not fit the others or an option is out of range.
        TypeError: If an argument is of the wrong kind, such as float lengths.

    The taps are those of `lstm`: `h`, `c`, `i`, `f`, `g` and `o`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import conv_lstm, init_conv_lstm
        >>> params = init_conv_lstm(jax.random.key(0), 1, 4, (3, 3))
        >>> film = jnp.ones((2, 5, 8, 8, 1))  # batch, time, height, width, channels
        >>> state, ys = conv_lstm(params, film, lengths=jnp.array([5, 2]))
        >>> state.c.shape, ys.shape
        ((2, 8, 8, 4), (2, 5, 8, 8, 4))

    Source: Shi et al. 2015, "Convolutional LSTM Network: A Machine Learning Approach
    for Precipitation Nowcasting", equations 3. Flax's `linen.ConvLSTMCell` and Keras's
    `ConvLSTM2D` have no peepholes; Keras has strides and dilation, which these have
    not; PyTorch has none.
    """
    check_callables(activation=activation, gate_activation=gate_activation)
    check_clip_cotangent(clip_cotangent)
    check_kind(params, ConvLSTMParams)
    check_array("x", x)
    axis, batch, spatial = _axes(params, x, time_major)
    hidden = check_conv_lstm(params, spatial)
    _check_features(params, x)
    plan = parse_scan(
        jnp.shape(x)[axis],
        batch,
        lengths=lengths,
        resets=resets,
        reverse=reverse,
        time_major=time_major,
        unroll=unroll,
        checkpoint=checkpoint,
        truncate=truncate,
    )
    if state is not None:
        check_lstm_state(state, (*batch, *spatial), hidden, hidden)
        state = LSTMState(*state)
    params, x, state = same_dtype(params, x, state)
    zeros = jnp.zeros((*batch, *spatial, hidden), x.dtype)
    initial = LSTMState(zeros, zeros) if state is None else state
    options = _Options(activation, gate_activation, clip_cotangent)
    step = lambda state, x_t, _: _step(options, params, state, x_t)
    with explained(clip_cotangent=clip_cotangent):
        return scan_steps(step, initial, x, plan)


def _step(
    options: _Options, params: ConvLSTMParams, state: LSTMState, x_t: Array
) -> tuple[LSTMState, Array]:
    """Compute gates, memory cell and output of one step."""
    dtype = x_t.dtype
    sums = {"preferred_element_type": wide(dtype)}
    # The input's share is computed inside of the loop: with one convolution of all
    # steps before it, value and gradients of films of 16 to 32 pixels took 1.5 times as
    # long on two CPU cores, and 1.6 to 1.7 times the memory. No accelerator was tried.
    a = conv(x_t, params.w_xh, params.b, **sums) + conv(state.h, params.w_hh, **sums)
    before = jnp.asarray(state.c).astype(a.dtype)
    p_i, p_f, p_o = (None,) * 3 if params.peephole is None else params.peephole
    sigmoid, tanh = options.gate_activation, options.activation
    gate = lambda a, name: tap(activated("gate_activation", sigmoid, a), name)

    a_i, a_f, a_g, a_o = jnp.split(a, 4, axis=-1)
    i = gate(_peep(a_i, p_i, before), "i")
    f = gate(_peep(a_f, p_f, before), "f")
    g = tap(activated("activation", tanh, a_g), "g")
    c = tap(f * before + i * g, "c")
    o = gate(_peep(a_o, p_o, c), "o")
    h = (o * activated("activation", tanh, c)).astype(dtype)
    h = tap(bounded_cotangents(h, options.clip_cotangent), "h")
    return LSTMState(h, c.astype(dtype)), h


def _peep(a: Array, p: Array | None, c: Array) -> Array:
    """Add what a gate sees of the cell."""
    return a if p is None else a + jnp.broadcast_to(p, c.shape).astype(c.dtype) * c


def _axes(
    params: ConvLSTMParams, x: Any, time_major: bool
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Return the time axis of `x`, its batch axes and its spatial ones."""
    shape, maps = jnp.shape(x), jnp.ndim(params.w_xh) - 2
    if len(shape) < maps + 2:
        raise ValueError(
            f"`x` has shape {shape}; wanted (*batch, time, *spatial, features), or "
            f"time first with time_major=True, with {maps} spatial axes, as the "
            f"kernel `params.w_xh` of shape {jnp.shape(params.w_xh)} has."
        )
    axis = 0 if time_major else len(shape) - 2 - maps
    lead = len(shape) - 1 - maps
    batch = shape[:axis] + shape[axis + 1 : lead]
    return axis, batch, shape[lead:-1]


def _check_features(params: ConvLSTMParams, x: Any) -> None:
    given, wanted = jnp.shape(x)[-1], jnp.shape(params.w_xh)[-2]
    if given != wanted:
        raise ValueError(
            f"`x` has {given} features (its last axis; its shape is {jnp.shape(x)}), "
            f"but `params.w_xh` has {wanted} input channels. They must be equal."
        )
