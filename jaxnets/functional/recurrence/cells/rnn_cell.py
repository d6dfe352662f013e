"""The simple recurrent network of Elman: one state, one activation, no gates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.activations import TANH, Activation, clipped
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
    apply_mask,
    apply_zoneout,
    normalized,
)
from jaxnets.functional.recurrence.initializers import (
    Initializer,
    check_init,
    init_gates,
    input_default,
    recurrent_default,
)
from jaxnets.functional.recurrence.kernels.candidate import pallas_kernel
from jaxnets.functional.recurrence.run import run_cell, step_cell
from jaxnets.functional.recurrence.time.cotangents import clip_cotangents
from jaxnets.typing import ArrayLike, Key


class RNNParams(NamedTuple):
    """Weights of a simple recurrent network.

    Attributes:
        w_xh: Weights of the input `(D, H)`: `x_t @ w_xh`.
        w_hh: Weights of the state `(H, H)`: `h_{t-1} @ w_hh`.
        b: Bias `(H,)`.

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
    """Draw the weights of `rnn`.

    The default initialisers are the same as in `init_gru` and `init_lstm`.

    Args:
        key: Random key.
        in_features: Size D of `x_t`.
        hidden: Size H of `h_t`.
        input_init: Initialiser of `w_xh`; by default a truncated normal distribution
            with variance 1/D.
        recurrent_init: Initialiser of `w_hh`; by default orthogonal, so that all
            singular values are 1.
        dtype: Dtype of the weights.

    Returns:
        `RNNParams`, with a bias of zero.

    Raises:
        ValueError: If a size is below 1, or `dtype` is not floating point.
        TypeError: If an argument has the wrong type.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_rnn
        >>> init_rnn(jax.random.key(0), 4, 3).w_xh.shape
        (4, 3)

    Source: Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks" (orthogonal). PyTorch draws all weights from a uniform
    distribution between minus and plus 1/sqrt(H), which gives a spectral radius near
    0.58.
    """
    initialisers = {"input_init": input_init, "recurrent_init": recurrent_init}
    check_init(key, dtype, initialisers, in_features=in_features, hidden=hidden)
    input_key, recurrent_key = jax.random.split(key)
    return RNNParams(
        w_xh=init_gates(input_init, input_key, (in_features, hidden), 1, dtype),
        w_hh=init_gates(recurrent_init, recurrent_key, (hidden, hidden), 1, dtype),
        b=jnp.zeros(hidden, dtype),
    )


class _OtherParams(NamedTuple):
    """The parameters of the update, other than the weights of the pre-activations."""

    b: Any
    layer_norm: LayerNormParams | None
    dropout_mask: Any


def _bind(params: RNNParams, options: CellOptions, mask: Any, draws: Draws):
    """Bind the cell to its parameters and options."""
    every = columns(0, 1, jnp.shape(params.w_xh)[1])
    norm, options = options.layer_norm, options._replace(layer_norm=None)

    def update(other: _OtherParams, a, h, draws_t: Draws, hooks: Hooks):
        a_t = a["h"]
        if other.layer_norm is not None:
            a_t = normalized(a_t, other.layer_norm.gain_h, other.b)
        after = hooks.activate("activation", clipped(a_t, options.clip), "h")
        h = apply_zoneout(options.zoneout[0], draws_t.h, h, after.astype(h.dtype))
        h = hooks.tap(clip_cotangents(h, options.clip_cotangent), "h")
        return h, h

    return BoundCell(
        kind=RNN,
        options=options,
        weights=Weights(params.w_xh, params.w_hh, params.b if norm is None else None),
        other_params=_OtherParams(None if norm is None else params.b, norm, mask),
        parts=(Part(("h",), every, every),),
        recurrent_input=lambda other, h: apply_mask(h, other.dropout_mask),
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
    activations={"activation": TANH},
    norms=("gain_h",),
    kernels=(pallas_kernel("rnn", _bind),),
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
    """Compute one step of a simple recurrent network.

    `h_t = activation(x_t @ w_xh + h_{t-1} @ w_hh + b)`, and `y_t = h_t`.

    Args:
        params: `RNNParams`.
        state: `h_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.
        activation: Elementwise function, such as `jnp.tanh`.
        clip: As in `rnn`.
        layer_norm: As in `rnn`.
        zoneout: As in `rnn`.
        recurrent_dropout: As in `rnn`. A rate draws a new mask from each `key`; pass
            the mask itself to use the same one in all steps.
        key: As in `rnn`; pass a new key at every step.

    Returns:
        `(h_t, y_t)`, the same array twice.

    Raises:
        ValueError: If the shapes of the arguments do not fit together.
        TypeError: If `activation` is not callable or no array is floating point.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_rnn, rnn_step
        >>> params = init_rnn(jax.random.key(0), 4, 3)
        >>> h, y = rnn_step(params, jnp.zeros((2, 3)), jnp.ones((2, 4)))
        >>> h.shape
        (2, 3)

    Source: Elman 1990, "Finding Structure in Time". There is one bias, where PyTorch
    adds two.
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

    Step t computes `h_t = activation(x_t @ w_xh + h_{t-1} @ w_hh + b)`, and the output
    is the state, `ys[t] = h_t`.

    Args:
        params: `RNNParams`. Use `jax.vmap` to run several sets at once.
        x: Inputs `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`, with any
            number of batch axes.
        state: Initial state `h (*batch, H)`; None is zeros.
        activation: Elementwise function, such as `jnp.tanh`.
        clip: Bound of the absolute value of the pre-activation, which is clipped; None
            means no bound.
        layer_norm: Whether to normalise the pre-activations: False, True (with gains of
            one), or the gains as `LayerNormParams`.
        zoneout: Probability that a unit of h keeps its value of the step before; see
            `key`.
        recurrent_dropout: Probability that a unit of h is replaced by zero where `w_hh`
            multiplies it. The same units are dropped in all steps of a sequence, and
            the others are divided by one minus the rate. Or the mask itself, which
            multiplies h, `(*batch, H)`.
        key: Random key for zoneout and recurrent dropout, for training. Without a key
            nothing is drawn: zoneout mixes the old and the new state,
            `rate * h + (1 - rate) * h'`, and a rate of recurrent dropout has no effect.
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
            which the activation is tanh, sigmoid or relu, and no other cell option and
            no `clip_cotangent` is used. Both support reverse mode only. "pallas"
            computes all steps in one kernel, on TPUs and on NVIDIA's H100 and H200, in
            float32 and bfloat16. It supports the standard cell, but not `checkpoint`,
            `truncate`, forward mode or taps that are measured. With several devices it
            runs only inside `jax.shard_map`. It was tested in an interpreter and
            compiled for these devices, but has not run on one yet. On a kind of device
            where it was not timed, it runs only if it is named. None chooses;
            `jaxnets.plan` says which one runs and why.

    Returns:
        `(h, ys)`: the final state `(*batch, H)`, and the states of all steps
        `(*batch, T, H)`, with time on the same axis as in `x`. Both have the promoted
        dtype of the arguments.

    Raises:
        ValueError: If the shapes of the arguments do not fit together, or an option is
            out of range.
        TypeError: If an argument has the wrong type, such as float lengths.

    Under `jaxnets.gradflow.measure` the tap `h` records the total `dL/dh_t`: the part
    that arrives directly from `ys[t]` plus the part that comes back through later
    steps.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import init_rnn, rnn
        >>> params = init_rnn(jax.random.key(0), 4, 3)
        >>> h, ys = rnn(params, jnp.ones((2, 5, 4)), lengths=jnp.array([5, 2]))
        >>> h.shape, ys.shape
        ((2, 3), (2, 5, 3))

    Source: Elman 1990, "Finding Structure in Time". Flax's `nnx.SimpleCell` in
    `nnx.RNN` computes the same, but has no resets and returns other outputs at padding.
    PyTorch has two biases, and time first by default.
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
