"""The recurrent networks that the study of time contrasts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx
from flax.nnx import initializers

from jaxnets import functional as F
from jaxnets import models, nn


# The variance is 1 / (3 H), where H is the fan-out of the weights (D, H) and (H, H) of
# each gate.
WEIGHT_VARIANCE = 1 / 3
uniform_init = initializers.variance_scaling(WEIGHT_VARIANCE, "fan_out", "uniform")


_MATCHED_OPTIONS = {"input_init": uniform_init, "recurrent_init": uniform_init}


class Family(NamedTuple):
    """What the study knows of a kind of recurrent network.

    Attributes:
        layer: Makes its layer.
        step: Computes one step, `step(params, state, x_t)`.
        scope: Scope of its taps.
        gate: The gate that multiplies the old state; empty if there is none.
        options: Arguments of the layer.
        weight_variance: Hidden units times the variance of a recurrent weight.
        chrono: Whether the biases of the gates start by the length of the sequence.
    """

    layer: Callable[..., Any]
    step: Callable[..., Any]
    scope: str
    gate: str = ""
    options: Any = _MATCHED_OPTIONS
    weight_variance: float = WEIGHT_VARIANCE
    chrono: bool = False


_ORTHOGONAL = {
    "input_init": uniform_init,
    "recurrent_init": initializers.orthogonal(),
}
FAMILIES = {
    "RNN": Family(nn.RNN, F.rnn_step, "rnn"),
    "GRU": Family(nn.GRU, F.gru_step, "gru", "z"),
    "LSTM": Family(nn.LSTM, F.lstm_step, "lstm", "f"),
    "RNN, orthogonal": Family(
        nn.RNN, F.rnn_step, "rnn", options=_ORTHOGONAL, weight_variance=1.0
    ),
    "LSTM, chrono": Family(nn.LSTM, F.lstm_step, "lstm", "f", chrono=True),
    "minGRU": Family(
        nn.MinGRU, F.min_gru_step, "min_gru", "z", {"input_init": uniform_init}
    ),
}
# Those that every scale has, with matched initialisers.
MATCHED = ("RNN", "GRU", "LSTM")


def make_network(
    family: Family, hidden: int, length: int, rngs: nnx.Rngs
) -> models.ManyToOne:
    """Return a network of `family` for sequences of `length` steps of 2 features."""
    model = models.ManyToOne(family.layer, 2, hidden, 1, rngs=rngs, **family.options)
    if family.chrono:
        b = F.chrono_bias(rngs.params(), hidden, longest=length)
        params = model.recurrent.params._replace(b=b)
        model.recurrent.set_layer_params([(params,)])
    return model


def initial_state(family: Family, zeros: jax.Array) -> Any:
    """Return the state before the first step, of the shape of `zeros`."""
    return F.LSTMState(zeros, zeros) if family.layer is nn.LSTM else zeros
