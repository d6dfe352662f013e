"""What a step of the long short-term memory computes, with every cell option."""

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
    product,
)
from jaxnets.functional.recurrence.cell_options import (
    Draws,
    LayerNormParams,
    masked,
    normalized,
    zoned,
)
from jaxnets.functional.recurrence.cells.lstm_params import LSTMParams, LSTMState
from jaxnets.functional.recurrence.time.cotangents import bounded_cotangents
from jaxnets.tap import tap


class LSTMOptions(NamedTuple):
    """The cell options, parsed."""

    activation: Activation
    gate_activation: Activation
    output_activation: Activation
    clip: float | None
    coupled_gates: bool
    layer_norm: LayerNormParams | None
    zoneout: tuple[float, float]
    dropout_mask: Any
    clip_cotangent: float | None


class _Extras(NamedTuple):
    """The parameters beside the weights of the pre-activations."""

    peephole: Any
    w_hr: Any
    b: Any
    layer_norm: LayerNormParams | None
    dropout_mask: Any


def lstm_cell(
    params: LSTMParams,
    options: LSTMOptions,
    draws: Draws,
    wrap: Callable[[Activation], Activation],
) -> Cell:
    """Build the cell, with its activations wrapped."""
    every = columns(0, 4, jnp.shape(params.w_xh)[1] // 4)
    together = options.layer_norm is None
    options = options._replace(
        activation=wrap(options.activation),
        gate_activation=wrap(options.gate_activation),
        output_activation=wrap(options.output_activation),
    )

    def advance(extras, parts, state, draws_t):
        return _advance(options, extras, parts, state, draws_t)

    return Cell(
        weights=Weights(params.w_xh, params.w_hh, params.b if together else None),
        extras=_Extras(
            params.peephole,
            params.w_hr,
            None if together else params.b,
            options.layer_norm,
            options.dropout_mask,
        ),
        parts=(Part(every, every),)
        if together
        else (Part(every, None), Part(None, every)),
        recalled=lambda extras, state: masked(state.h, extras.dropout_mask),
        advance=advance,
        gates=Gates(_gates_forward, _gates_backward, ("i", "f", "g", "c", "o", "h")),
        draws=draws,
    )


def _gates_forward(parts, start: LSTMState, hold):
    a_i, a_f, a_g, a_o = jnp.split(parts[0], 4, axis=-1)
    sigmoid = jax.nn.sigmoid
    i, f, g, o = hold((sigmoid(a_i), sigmoid(a_f), jnp.tanh(a_g), sigmoid(a_o)))
    c = f * start.c + i * g
    return [(i, f, g, o)], LSTMState(o * jnp.tanh(c), c)


def _gates_backward(places, start: LSTMState, ct: LSTMState):
    i, f, g, o = jnp.split(places[0], 4, axis=-1)
    c = f * start.c + i * g
    s = jnp.tanh(c)
    ct_o = ct.h * s
    ct_c = ct.c + ct.h * o * (1 - s * s)
    ct_i, ct_f, ct_g = ct_c * g, ct_c * start.c, ct_c * i
    ct_a = (
        ct_i * (i * (1 - i)),
        ct_f * (f * (1 - f)),
        ct_g * (1 - g * g),
        ct_o * (o * (1 - o)),
    )
    tapped = {
        "h": (o * s, ct.h),
        "o": (o, ct_o),
        "c": (c, ct_c),
        "g": (g, ct_g),
        "f": (f, ct_f),
        "i": (i, ct_i),
    }
    return [ct_a], LSTMState(jnp.zeros_like(ct.h), ct_c * f), tapped


def _advance(options: LSTMOptions, extras: _Extras, parts, state, draws: Draws):
    """Compute gates, memory cell and output from the pre-activations."""
    a = _summed(extras, parts)
    dtype, wide = state.c.dtype, a.dtype
    before = state.c.astype(wide)
    p_i, p_f, p_o = (None,) * 3 if extras.peephole is None else extras.peephole
    clip, sigmoid = options.clip, options.gate_activation
    gate = lambda a, name: tap(
        activated("gate_activation", sigmoid, bounded(a, clip)), name
    )

    a_i, a_f, a_g, a_o = jnp.split(a, 4, axis=-1)
    i = gate(_peep(a_i, p_i, before), "i")
    coupled = options.coupled_gates
    f = tap(1 - i, "f") if coupled else gate(_peep(a_f, p_f, before), "f")
    g = tap(activated("activation", options.activation, bounded(a_g, clip)), "g")
    c = tap(f * before + i * g, "c")
    o = gate(_peep(a_o, p_o, c), "o")
    out = _on_its_way_out(extras, c)
    out = activated("output_activation", options.output_activation, out)
    h = (o * out).astype(dtype)
    if extras.w_hr is not None:
        h = product(h, extras.w_hr).astype(dtype)
    rate_h, rate_c = options.zoneout
    h = zoned(rate_h, draws.h, state.h, h)
    c = zoned(rate_c, draws.c, before, c)
    h = tap(bounded_cotangents(h, options.clip_cotangent), "h")
    return LSTMState(h, c.astype(dtype)), h


def _summed(extras: _Extras, parts) -> jax.Array:
    """Add the input's and the state's share, each normalised where that is asked."""
    if extras.layer_norm is None:
        return parts[0]
    from_x, from_h = parts
    a = normalized(from_x, extras.layer_norm.gain_x)
    return a + normalized(from_h, extras.layer_norm.gain_h, extras.b)


def _on_its_way_out(extras: _Extras, c: jax.Array) -> jax.Array:
    norm = extras.layer_norm
    return c if norm is None else normalized(c, norm.gain_c, norm.bias_c)


def _peep(a, p, c):
    """Add what a gate sees of the cell."""
    return a if p is None else a + jnp.broadcast_to(p, c.shape).astype(c.dtype) * c
