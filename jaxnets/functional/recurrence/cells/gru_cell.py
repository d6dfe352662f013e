"""What a step of the gated recurrent unit computes, with every cell option."""

import functools
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
from jaxnets.functional.recurrence.cells.gru_params import GRUParams
from jaxnets.functional.recurrence.time.cotangents import bounded_cotangents
from jaxnets.tap import tap


class GRUOptions(NamedTuple):
    """The cell options, parsed."""

    activation: Activation
    gate_activation: Activation
    clip: float | None
    reset_after: bool
    layer_norm: LayerNormParams | None
    zoneout: float
    dropout_mask: Any = None
    clip_cotangent: float | None = None


class _Extras(NamedTuple):
    """The parameters beside the weights of the pre-activations.

    `w_hn` is here where r multiplies the state: its product has to wait for r.
    """

    b: Any
    b_hn: Any
    w_hn: Any
    layer_norm: LayerNormParams | None
    dropout_mask: Any


def gru_cell(
    params: GRUParams,
    options: GRUOptions,
    draws: Draws,
    wrap: Callable[[Activation], Activation],
) -> Cell:
    """Build the cell, with its activations wrapped."""
    hidden = jnp.shape(params.w_xh)[1] // 3
    gates, candidate = columns(0, 2, hidden), columns(2, 1, hidden)
    w_hh, w_hn = params.w_hh, None
    if not options.reset_after:
        w_hh, w_hn = jnp.split(w_hh, [2 * hidden], axis=1)
    norm = options.layer_norm
    if norm is not None:
        parts = (Part(columns(0, 3, hidden), None), Part(None, slice(0, w_hh.shape[1])))
    else:
        parts = (Part(gates, gates), Part(candidate, None))
        parts += (Part(None, candidate),) if options.reset_after else ()
    options = options._replace(
        activation=wrap(options.activation),
        gate_activation=wrap(options.gate_activation),
    )

    def advance(extras, parts, h, draws_t):
        return _advance(options, extras, parts, h, draws_t)

    plain = norm is None and options.reset_after
    return Cell(
        weights=Weights(
            params.w_xh,
            w_hh,
            params.b if norm is None else None,
            params.b_hn if plain else None,
        ),
        extras=_Extras(
            None if norm is None else params.b,
            None if plain else params.b_hn,
            w_hn,
            norm,
            options.dropout_mask,
        ),
        parts=parts,
        recalled=lambda extras, h: masked(h, extras.dropout_mask),
        advance=advance,
        gates=Gates(_gates_forward, _gates_backward, ("r", "z", "n", "h")),
        draws=draws,
    )


def _gates_forward(parts, h: jax.Array, hold):
    a_rz, from_x, from_h = parts
    r, z = jnp.split(jax.nn.sigmoid(a_rz), 2, axis=-1)
    r, z, from_h = hold((r, z, from_h))
    n = hold(jnp.tanh(from_x + r * from_h))
    return [(r, z), (n,), (from_h,)], (1 - z) * n + z * h


def _gates_backward(places, h: jax.Array, ct: jax.Array):
    rz, n, from_h = places
    r, z = jnp.split(rz, 2, axis=-1)
    ct_z, ct_n = ct * (h - n), ct * (1 - z)
    ct_a_n = ct_n * (1 - n * n)
    ct_r = ct_a_n * from_h
    tapped = {
        "h": ((1 - z) * n + z * h, ct),
        "n": (n, ct_n),
        "z": (z, ct_z),
        "r": (r, ct_r),
    }
    ct_a_rz = (ct_r * (r * (1 - r)), ct_z * (z * (1 - z)))
    return [ct_a_rz, (ct_a_n,), (ct_a_n * r,)], ct * z, tapped


def _advance(options: GRUOptions, extras: _Extras, parts, h, draws: Draws):
    """Compute gates, candidate and state from the pre-activations."""
    a_rz, from_x, from_h = _separated(extras, parts)
    clip, sigmoid = options.clip, options.gate_activation
    gate = lambda a, name: tap(
        activated("gate_activation", sigmoid, bounded(a, clip)), name
    )
    a_r, a_z = jnp.split(a_rz, 2, axis=-1)
    r = gate(a_r, "r")
    if options.reset_after:
        a_n = from_x + r * _plus_bias(from_h, extras.b_hn)
    else:
        reset = (r * masked(h, extras.dropout_mask).astype(r.dtype)).astype(h.dtype)
        from_h = product(reset, extras.w_hn)
        if extras.layer_norm is not None:
            from_h = normalized(from_h, extras.layer_norm.gain_h[a_rz.shape[-1] :])
        a_n = from_x + _plus_bias(from_h, extras.b_hn)
    z = gate(a_z, "z")
    n = tap(activated("activation", options.activation, bounded(a_n, clip)), "n")
    after = _between(z, n, h.astype(z.dtype)).astype(h.dtype)
    h = zoned(options.zoneout, draws.h, h, after)
    h = tap(bounded_cotangents(h, options.clip_cotangent), "h")
    return h, h


def _separated(extras: _Extras, parts) -> tuple[Any, Any, Any]:
    """Return the pre-activations of r and z, and both shares of that of n."""
    if extras.layer_norm is None:
        a_rz, from_x, *from_h = parts
        return a_rz, from_x, from_h[0] if from_h else None
    from_x, from_h = parts
    size = 2 * from_x.shape[-1] // 3
    gain_x: Any = extras.layer_norm.gain_x
    gain_h: Any = extras.layer_norm.gain_h
    a_rz = normalized(from_x[..., :size], gain_x[:size], extras.b[:size])
    a_rz += normalized(from_h[..., :size], gain_h[:size])
    x_n = normalized(from_x[..., size:], gain_x[size:], extras.b[size:])
    if from_h.shape[-1] == size:
        return a_rz, x_n, None
    return a_rz, x_n, normalized(from_h[..., size:], gain_h[size:])


def _plus_bias(a: jax.Array, bias: Any) -> jax.Array:
    return a if bias is None else a + jnp.broadcast_to(bias.astype(a.dtype), a.shape)


# The checkpoint keeps z, n and h, which are kept anyway, and not 1 - z.
@functools.partial(jax.checkpoint, prevent_cse=False)
def _between(z: jax.Array, n: jax.Array, h: jax.Array) -> jax.Array:
    return (1 - z) * n + z * h
