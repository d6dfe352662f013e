"""The convolutional LSTM, an LSTM with convolutions in place of matrix products."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Shaped

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.recurrence.activations import Activation, canonical
from jaxnets.functional.recurrence.arguments import (
    check_array,
    check_callables,
    check_kind,
    check_shape,
    check_state,
    same_dtype,
)
from jaxnets.functional.recurrence.cell import plain_hooks
from jaxnets.functional.recurrence.cell_options import CellOptions
from jaxnets.functional.recurrence.cells.conv_lstm_params import ConvLSTMParams
from jaxnets.functional.recurrence.cells.lstm_cell import LSTM, cell_and_output_gate
from jaxnets.functional.recurrence.cells.lstm_params import LSTMState
from jaxnets.functional.recurrence.time.compiled import run_compiled
from jaxnets.functional.recurrence.time.cotangents import clip_cotangents
from jaxnets.functional.recurrence.time.options import (
    ScanOptions,
    as_clip_cotangent,
    parse_scan,
    time_first,
)
from jaxnets.functional.recurrence.time.steps import scan_steps
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.sharding import match_varying_axes, shard_like
from jaxnets.typing import ArrayLike


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
    """Run a convolutional LSTM over time, for example over sequences of images.

    The equations are those of `lstm`, with convolutions in place of products. The
    output channels of the kernels are blocks, one for each gate: `w_xh = [w_xi, w_xf,
    w_xg, w_xo]`, and `w_hh` and `b` in the same order. The rows of `peephole` are p_i,
    p_f and p_o; without peepholes they are zero. A step computes

        i = gate_activation(conv(x_t, w_xi) + conv(h, w_hi) + b_i + p_i * c)
        f = gate_activation(conv(x_t, w_xf) + conv(h, w_hf) + b_f + p_f * c)
        g = activation(conv(x_t, w_xg) + conv(h, w_hg) + b_g)
        c' = f * c + i * g
        o = gate_activation(conv(x_t, w_xo) + conv(h, w_ho) + b_o + p_o * c')
        h' = o * activation(c')

    Padding is "SAME" with zeros, so the spatial shape stays the same.

    Args:
        params: `ConvLSTMParams`; the kernels determine the number of spatial axes.
        x: Inputs `(*batch, T, *spatial, D)`, or `(T, *batch, *spatial, D)` with
            `time_major`, with any number of batch axes.
        state: Initial `LSTMState` of h and c `(*batch, *spatial, H)`; None is zeros.
        activation: Activation of the candidate g, and of the memory cell in the output
            h'.
        gate_activation: Activation of the gates i, f and o.
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

    Returns:
        `(LSTMState(h, c), ys)`: the final state, and h of all steps
        `(*batch, T, *spatial, H)`, with time on the same axis as in `x`. All have the
        promoted dtype of the arguments.

    Raises:
        ValueError: If the shapes of the arguments do not fit together, or an option is
            out of range.
        TypeError: If an argument has the wrong type, such as float lengths.

    The taps are the same as in `lstm`: `h`, `c`, `i`, `f`, `g` and `o`.

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
    `ConvLSTM2D` have no peepholes. Keras supports strides and dilation, which this
    function does not. PyTorch has no convolutional LSTM.
    """
    check_callables(activation=activation, gate_activation=gate_activation)
    check_kind(params, ConvLSTMParams)
    check_array("x", x)
    axis, batch, spatial = _axes(params, x, time_major)
    hidden = _check_params(params, spatial)
    _check_features(params, x)
    scan_options = parse_scan(
        x,
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
        shape = (*batch, *spatial, hidden)
        state = check_state(state, [shape, shape], LSTMState)
    params, x, state = same_dtype(params, x, state)
    zeros = jnp.zeros((*batch, *spatial, hidden), x.dtype)
    initial = LSTMState(zeros, zeros) if state is None else state
    lead = time_first(axis, len(batch))[1:]
    initial = shard_like(initial, x, lead)
    params, x, initial, _ = match_varying_axes(params, x, initial, scan_options.masks)
    options = CellOptions(
        canonical(activation),
        canonical(gate_activation),
        canonical(activation),
        clip_cotangent=as_clip_cotangent(clip_cotangent),
        switches={},
    )
    return run_compiled(_run, (), (options, scan_options, params, initial, x))


def _run(
    options: CellOptions,
    scan_options: ScanOptions,
    params: ConvLSTMParams,
    state: LSTMState,
    x: Array,
) -> tuple[LSTMState, Array]:
    """Run the cell over time."""
    step = lambda state, x_t, _: _step(options, params, state, x_t)
    return scan_steps(step, state, x, scan_options)


def _step(
    options: CellOptions, params: ConvLSTMParams, state: LSTMState, x_t: Array
) -> tuple[LSTMState, Array]:
    """Compute the gates, the memory cell and the output of one step."""
    dtype = x_t.dtype
    sums: dict[str, Any] = {"preferred_element_type": accumulation_dtype(dtype)}
    # The convolution of `x_t` is inside the loop, so that no array of all steps with
    # 4*H channels is stored.
    total = conv(x_t, params.w_xh, params.b, **sums)
    total += conv(state.h, params.w_hh, **sums)
    a = dict(zip(LSTM.gates, jnp.split(total, 4, axis=-1), strict=True))
    before = jnp.asarray(state.c).astype(total.dtype)
    hooks = plain_hooks(options)
    c, o = cell_and_output_gate(options, params.peephole, a, before, hooks)
    h = (o * hooks.activate("activation", c)).astype(dtype)
    h = hooks.tap(clip_cotangents(h, options.clip_cotangent), "h")
    return LSTMState(h, c.astype(dtype)), h


def _check_params(params: Any, spatial: tuple[Any, ...]) -> int:
    """Check that the weights fit inputs of this spatial shape, and return H."""
    ndim = jnp.ndim(params.w_xh)
    if ndim < 3 or jnp.ndim(params.w_hh) != ndim:
        raise ValueError(
            f"`params.w_xh` has shape {jnp.shape(params.w_xh)} and `params.w_hh` "
            f"{jnp.shape(params.w_hh)}; wanted (*window, D, 4*H) and (*window, H, "
            "4*H), with the same number of window axes in both."
        )
    *_, hidden, columns = jnp.shape(params.w_hh)
    if columns != 4 * hidden or jnp.shape(params.w_xh)[-1] != columns:
        raise ValueError(
            f"`params.w_hh` has shape {jnp.shape(params.w_hh)} and `params.w_xh` "
            f"{jnp.shape(params.w_xh)}; wanted 4*H output channels in both, for i, f, "
            f"g and o, with H = {hidden} input channels of `params.w_hh`."
        )
    check_shape("params.b", params.b, (columns,), "one bias for each channel")
    if params.peephole is not None:
        shape = jnp.shape(params.peephole)
        shared = tuple(
            1 if size == 1 else wanted
            for size, wanted in zip(shape[1:-1], spatial, strict=False)
        )
        if shape != (3, *shared, hidden) or len(shared) != len(spatial):
            raise ValueError(
                f"`params.peephole` has shape {shape}; wanted {(3, *spatial, hidden)}, "
                "one weight for each of i, f and o, position and channel, or a spatial "
                "axis of size 1, along which all positions share a weight."
            )
    return hidden


def _axes(
    params: ConvLSTMParams, x: Any, time_major: bool
) -> tuple[int, tuple[Any, ...], tuple[Any, ...]]:
    """Return the time axis of `x`, its batch axes and its spatial axes."""
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
