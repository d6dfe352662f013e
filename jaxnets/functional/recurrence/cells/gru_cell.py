"""The gated recurrent unit, with its reset gate after or before the product."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num, Shaped

from jaxnets.functional.recurrence.activations import Activation, clipped
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
from jaxnets.functional.recurrence.cells.gru_params import (
    GRU_GATES,
    GRUParams,
    gru_widths,
)
from jaxnets.functional.recurrence.kernels.candidate import pallas_kernel
from jaxnets.functional.recurrence.products import add_bias, product
from jaxnets.functional.recurrence.run import run_cell, step_cell
from jaxnets.functional.recurrence.time.cotangents import clip_cotangents
from jaxnets.typing import ArrayLike, Key


class _OtherParams(NamedTuple):
    """The parameters of the update, other than the weights of the pre-activations.

    If r multiplies the state, `w_hn` is one of them: its product depends on r.
    """

    b: Any
    b_hn: Any
    w_hn: Any
    layer_norm: LayerNormParams | None
    dropout_mask: Any


def _bind(params: GRUParams, options: CellOptions, mask: Any, draws: Draws):
    """Bind the cell to its parameters and options."""
    hidden = jnp.shape(params.w_xh)[1] // 3
    gates, candidate = columns(0, 2, hidden), columns(2, 1, hidden)
    w_hh, w_hn = params.w_hh, None
    reset_after = options.switches["reset_after"]
    if not reset_after:
        w_hh, w_hn = jnp.split(w_hh, [2 * hidden], axis=1)
    norm, options = options.layer_norm, options._replace(layer_norm=None)
    if norm is not None:
        parts = (
            Part(("x",), columns(0, 3, hidden), None),
            Part(("h",), None, slice(0, w_hh.shape[1])),
        )
    else:
        parts = (Part(("r", "z"), gates, gates), Part(("n",), candidate, None))
        parts += (Part(("h_n",), None, candidate),) if reset_after else ()
    in_product = norm is None and reset_after
    return BoundCell(
        kind=GRU,
        options=options,
        weights=Weights(
            params.w_xh,
            w_hh,
            params.b if norm is None else None,
            params.b_hn if in_product else None,
        ),
        other_params=_OtherParams(
            None if norm is None else params.b,
            None if in_product else params.b_hn,
            w_hn,
            norm,
            mask,
        ),
        parts=parts,
        recurrent_input=lambda other, h: apply_mask(h, other.dropout_mask),
        update=functools.partial(_update, options),
        draws=draws,
    )


def _update(
    options: CellOptions, other: _OtherParams, a, h, draws: Draws, hooks: Hooks
):
    """Compute gates, candidate and state from the pre-activations."""
    if other.layer_norm is not None:
        a = _normalized_blocks(other, a)

    def gate(name: str) -> jax.Array:
        bounded_a = clipped(a[name], options.clip)
        return hooks.tap(hooks.activate("gate_activation", bounded_a, name), name)

    r = gate("r")
    if options.switches["reset_after"]:
        a_n = a["n"] + r * add_bias(a["h_n"], other.b_hn)
    else:
        reset = (r * apply_mask(h, other.dropout_mask).astype(r.dtype)).astype(h.dtype)
        h_n = product(reset, other.w_hn)
        if other.layer_norm is not None:
            gain_h: Any = other.layer_norm.gain_h
            h_n = normalized(h_n, gain_h[2 * h_n.shape[-1] :])
        a_n = a["n"] + add_bias(h_n, other.b_hn)
    z = gate("z")
    n = hooks.tap(hooks.activate("activation", clipped(a_n, options.clip), "n"), "n")
    after = _interpolated(z, n, h.astype(z.dtype)).astype(h.dtype)
    h = apply_zoneout(options.zoneout[0], draws.h, h, after)
    h = hooks.tap(clip_cotangents(h, options.clip_cotangent), "h")
    return h, h


def _normalized_blocks(other: _OtherParams, a) -> dict[str, jax.Array]:
    """Normalise the projections of input and state, gates and candidate separately."""
    from_x, from_h = a["x"], a["h"]
    norm: Any = other.layer_norm
    size = 2 * from_x.shape[-1] // 3
    a_rz = normalized(from_x[..., :size], norm.gain_x[:size], other.b[:size])
    a_rz += normalized(from_h[..., :size], norm.gain_h[:size])
    a_r, a_z = jnp.split(a_rz, 2, axis=-1)
    a_n = normalized(from_x[..., size:], norm.gain_x[size:], other.b[size:])
    normed = {"r": a_r, "z": a_z, "n": a_n}
    if from_h.shape[-1] > size:
        normed["h_n"] = normalized(from_h[..., size:], norm.gain_h[size:])
    return normed


# The checkpoint stores z, n and h, which are residuals anyway, but not 1 - z.
@functools.partial(jax.checkpoint, prevent_cse=False)
def _interpolated(z: jax.Array, n: jax.Array, h: jax.Array) -> jax.Array:
    return (1 - z) * n + z * h


GRU = Cell(
    name="gru",
    params=GRUParams,
    gates=GRU_GATES,
    taps=("r", "z", "n", "h"),
    widths=gru_widths,
    bind=_bind,
    switches={"reset_after": True},
    zero_params=("b_hn",),
    kernels=(pallas_kernel("gru", _bind, reset_after=True),),
)


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
    """Compute one step of a gated recurrent unit; `gru` has the equations.

    Args:
        params: `GRUParams`.
        state: `h_{t-1} (*batch, H)`.
        x_t: Input of this step `(*batch, D)`.
        activation: Activation of the candidate n.
        gate_activation: Activation of the gates r and z.
        clip: As in `gru`.
        reset_after: As in `gru`.
        layer_norm: As in `gru`.
        zoneout: As in `gru`.
        recurrent_dropout: As in `gru`. A rate draws a new mask from each `key`; pass
            the mask itself to use the same one in all steps.
        key: As in `gru`; pass a new key at every step.

    Returns:
        `(h_t, y_t)`, the same array twice.

    Raises:
        ValueError: If the shapes of the arguments do not fit together.
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
    return step_cell(
        GRU,
        params,
        state,
        x_t,
        activation=activation,
        gate_activation=gate_activation,
        clip=clip,
        reset_after=reset_after,
        layer_norm=layer_norm,
        zoneout=zoneout,
        recurrent_dropout=recurrent_dropout,
        key=key,
    )


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

    The columns of the weights are blocks, one for each gate: `w_xh = [w_xr, w_xz,
    w_xn]`, and `w_hh` and `b` in the same order. A step computes

        r = gate_activation(x_t @ w_xr + h @ w_hr + b_r)
        z = gate_activation(x_t @ w_xz + h @ w_hz + b_z)
        n = activation(x_t @ w_xn + b_n + r * (h @ w_hn + b_hn))    reset_after=True
        n = activation(x_t @ w_xn + b_n + (r * h) @ w_hn + b_hn)    reset_after=False
        h' = (1 - z) * n + z * h

    Args:
        params: `GRUParams`. Use `jax.vmap` to run several sets at once.
        x: Inputs `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`, with any
            number of batch axes.
        state: Initial state `h (*batch, H)`; None is zeros.
        activation: Activation of the candidate n.
        gate_activation: Activation of the gates r and z.
        clip: Bound of the absolute values of the pre-activations of r, z and n, which
            are clipped; None means no bound.
        reset_after: Whether r multiplies the product `h @ w_hn + b_hn` or the state h;
            see the equations.
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
            which the activations are tanh, sigmoid or relu, `reset_after` is True, and
            no other cell option and no `clip_cotangent` is used. Both support reverse
            mode only. "pallas" computes all steps in one kernel, on TPUs and on
            NVIDIA's H100 and H200, in float32 and bfloat16. It supports the standard
            cell, but not `checkpoint`, `truncate`, forward mode or taps that are
            measured. With several devices it runs only inside `jax.shard_map`. It was
            tested in an interpreter and compiled for these devices, but has not run on
            one yet. On a kind of device where it was not timed, it runs only if it is
            named. None chooses; `jaxnets.plan` says which one runs and why.

    Returns:
        `(h, ys)`: the final state `(*batch, H)`, and the states of all steps
        `(*batch, T, H)`, with time on the same axis as in `x`. Both have the promoted
        dtype of the arguments.

    Raises:
        ValueError: If the shapes of the arguments do not fit together, or an option is
            out of range.
        TypeError: If an argument has the wrong type, such as float lengths.

    Under `jaxnets.gradflow.measure` the tap `h` records the total `dL/dh_t`, and the
    taps `r`, `z` and `n` record the derivatives with respect to the gates and the
    candidate, after their activations.

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
    the form of PyTorch and cuDNN. Flax's `nnx.GRUCell` has no `b_hn`. Keras computes
    the same, with columns in the order z, r, n.
    """
    return run_cell(
        GRU,
        params,
        x,
        state,
        activation=activation,
        gate_activation=gate_activation,
        clip=clip,
        reset_after=reset_after,
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
