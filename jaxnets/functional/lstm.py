"""Long short-term memory, with peepholes, coupled gates and projection."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.lstm_params import LSTMParams, LSTMState
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
from jaxnets.typing import ArrayLike


class _Cell(NamedTuple):
    """The cell options of a long short-term memory."""

    activation: Activation
    gate_activation: Activation
    output_activation: Activation
    clip: float | None
    coupled_gates: bool


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
    cell = _Cell(
        activation, gate_activation, output_activation, clip, bool(coupled_gates)
    )
    hidden = _check(params, cell)
    check_features("x_t", x_t, params.w_xh, "(*batch, features)")
    _check_state(state, jnp.shape(x_t)[:-1], params, hidden)
    params, state, x_t = same_dtype(params, LSTMState(*state), x_t)
    return _advance(params, cell, state, input_share(params, x_t))


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
    lengths: Shaped[ArrayLike, "*batch"] | None = None,
    resets: Shaped[ArrayLike, "*batch_time"] | None = None,
    reverse: bool = False,
    time_major: bool = False,
    unroll: int = 1,
    checkpoint: int | str | None = None,
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
        lengths: Number of real steps of each sequence, shape `batch`; see `recur`.
        resets: Where an episode begins, `(*batch, T)`; see `recur`.
        reverse: Read time backwards; see `recur`.
        time_major: Whether time is the first axis.
        unroll: Steps in one iteration of the compiled loop.
        checkpoint: None, "sqrt" or a segment's length: memory against recomputing; see
            `recur`.

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
    cell = _Cell(
        activation, gate_activation, output_activation, clip, bool(coupled_gates)
    )
    hidden = _check(params, cell)
    axes = "(time, *batch, features)" if time_major else "(*batch, time, features)"
    check_features("x", x, params.w_xh, axes)
    batch = batch_of(x, time_major)
    if state is not None:
        _check_state(state, batch, params, hidden)
        state = LSTMState(*state)
    params, x, state = same_dtype(params, x, state)
    if state is None:
        shapes = (*batch, params.w_hh.shape[0]), (*batch, hidden)
        state = LSTMState(*(jnp.zeros(shape, x.dtype) for shape in shapes))
    return run_cell(
        functools.partial(_advance, params, cell),
        functools.partial(input_share, params),
        state,
        x,
        lengths=lengths,
        resets=resets,
        reverse=reverse,
        time_major=time_major,
        unroll=unroll,
        checkpoint=checkpoint,
    )


def _advance(params, cell, state, a_t):
    """Compute one step from the input's share `a_t` of the pre-activations."""
    dtype, wide = state.c.dtype, a_t.dtype
    c = state.c.astype(wide)
    p_i, p_f, p_o = (None,) * 3 if params.peephole is None else params.peephole
    gate = lambda a, name: tap(cell.gate_activation(bounded(a, cell.clip)), name)

    a_i, a_f, a_g, a_o = jnp.split(a_t + product(state.h, params.w_hh), 4, axis=-1)
    i = gate(_peep(a_i, p_i, c), "i")
    f = tap(1 - i, "f") if cell.coupled_gates else gate(_peep(a_f, p_f, c), "f")
    g = tap(cell.activation(bounded(a_g, cell.clip)), "g")
    c = tap(f * c + i * g, "c")
    o = gate(_peep(a_o, p_o, c), "o")
    h = (o * cell.output_activation(c)).astype(dtype)
    if params.w_hr is not None:
        h = product(h, params.w_hr).astype(dtype)
    h = tap(h, "h")
    return LSTMState(h, c.astype(dtype)), h


def _peep(a, p, c):
    """Add what a gate sees of the cell."""
    return a if p is None else a + jnp.broadcast_to(p, c.shape).astype(c.dtype) * c


def _check(params, cell) -> int:
    check_callables(
        activation=cell.activation,
        gate_activation=cell.gate_activation,
        output_activation=cell.output_activation,
    )
    check_clip(cell.clip)
    if params.w_hr is None:
        hidden = check_weights(params, "i, f, g, o")
    else:
        if jnp.ndim(params.w_hr) != 2:
            raise ValueError(
                f"`params.w_hr` has shape {jnp.shape(params.w_hr)}; wanted (H, P), "
                "from the cell to the output."
            )
        outputs = jnp.shape(params.w_hr)[1]
        hidden = check_weights(params, "i, f, g, o", outputs)
        why = "from the cell to the output"
        check_shape("params.w_hr", params.w_hr, (hidden, outputs), why)
    if params.peephole is not None:
        why = "one row for each of i, f and o"
        check_shape("params.peephole", params.peephole, (3, hidden), why)
    return hidden


def _check_state(state, batch, params, hidden) -> None:
    if not isinstance(state, tuple) or len(state) != 2:
        raise TypeError(
            f"`state` is of type {type(state).__name__}; wanted LSTMState(h, c)."
        )
    why = "the batch axes of the input and the size that the weights give"
    check_shape("state.h", state[0], (*batch, jnp.shape(params.w_hh)[0]), why)
    check_shape("state.c", state[1], (*batch, hidden), why)
