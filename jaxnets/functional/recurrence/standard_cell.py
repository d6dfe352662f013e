"""What makes a cell another than the standard one, which some loops are made for."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import Activation


# The activations of the standard gated cells.
STANDARD: dict[str, Sequence[Activation]] = {
    "activation": (jnp.tanh, jax.nn.tanh),
    "gate_activation": (jax.nn.sigmoid,),
    "output_activation": (jnp.tanh, jax.nn.tanh),
}


def departure(
    options: Any, params: Any, activations: dict[str, Sequence[Activation]]
) -> str | None:
    """Name the first thing that a standard cell has not, or None.

    Args:
        options: The parsed options of an RNN, GRU or LSTM; what is not among them is
            standard.
        params: Its parameters.
        activations: For each option that is an activation, the standard ones.
    """
    for name, standard in activations.items():
        if getattr(options, name, None) not in (None, *standard):
            return f"`{name}` but the standard one"
    zoneout = options.zoneout
    found = {
        "`clip`": options.clip is not None,
        "`coupled_gates`": getattr(options, "coupled_gates", False),
        "`reset_after=False`": not getattr(options, "reset_after", True),
        "`layer_norm`": options.layer_norm is not None,
        "`zoneout`": any(zoneout) if isinstance(zoneout, tuple) else bool(zoneout),
        "`recurrent_dropout`": options.dropout_mask is not None,
        "`clip_cotangent`": options.clip_cotangent is not None,
        "peepholes": getattr(params, "peephole", None) is not None,
        "a projection": getattr(params, "w_hr", None) is not None,
    }
    return next((name for name, departs in found.items() if departs), None)
