"""What a step of the simple recurrent network computes, with every cell option."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import (
    Activation,
    Cell,
    Gates,
    Part,
    Weights,
    activated,
    bounded,
    columns,
)
from jaxnets.functional.recurrence.cell_options import (
    Draws,
    LayerNormParams,
    masked,
    normalized,
    zoned,
)
from jaxnets.functional.recurrence.cells.rnn_params import RNNParams
from jaxnets.functional.recurrence.time.cotangents import bounded_cotangents
from jaxnets.tap import tap


class RNNOptions(NamedTuple):
    """The cell options, parsed."""

    activation: Activation
    clip: float | None
    layer_norm: LayerNormParams | None
    zoneout: float
    dropout_mask: Any
    clip_cotangent: float | None


class _Extras(NamedTuple):
    """The parameters beside the weights of the pre-activation."""

    b: Any
    layer_norm: LayerNormParams | None
    dropout_mask: Any


def rnn_cell(
    params: RNNParams,
    options: RNNOptions,
    draws: Draws,
    wrap: Callable[[Activation], Activation],
) -> Cell:
    """Build the cell, with its activation wrapped."""
    every = columns(0, 1, params.w_xh.shape[1])
    norm = options.layer_norm
    activation = wrap(options.activation)

    def advance(extras: _Extras, parts, h, draws_t: Draws):
        (a_t,) = parts
        if extras.layer_norm is not None:
            a_t = normalized(a_t, extras.layer_norm.gain_h, extras.b)
        after = activated("activation", activation, bounded(a_t, options.clip))
        after = after.astype(h.dtype)
        h = zoned(options.zoneout, draws_t.h, h, after)
        h = tap(bounded_cotangents(h, options.clip_cotangent), "h")
        return h, h

    return Cell(
        weights=Weights(params.w_xh, params.w_hh, params.b if norm is None else None),
        extras=_Extras(None if norm is None else params.b, norm, options.dropout_mask),
        parts=(Part(every, every),),
        recalled=lambda extras, h: masked(h, extras.dropout_mask),
        advance=advance,
        gates=_gates(options.activation),
        draws=draws,
    )


# The derivative of an activation, from its result.
SLOPES: dict[Activation, Activation] = {
    jnp.tanh: lambda h: 1 - h * h,
    jax.nn.tanh: lambda h: 1 - h * h,
    jax.nn.relu: lambda h: (h > 0).astype(h.dtype),
}


def _gates(activation: Activation) -> Gates:
    """The step, and its derivative where `SLOPES` knows it."""

    def forward(parts, start, hold):
        del start
        h = hold(activation(parts[0]))
        return [(h,)], h

    def backward(places, start, ct):
        (h,) = places
        ct_a = ct * SLOPES[activation](h)
        return [(ct_a,)], jnp.zeros_like(start), {"h": (h, ct)}

    return Gates(forward, backward, ("h",))
