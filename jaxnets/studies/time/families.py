"""The recurrent networks that the study of time contrasts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx
from flax.nnx import initializers

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.studies.time.tasks import Task


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
        memory_exponent: The power of its memory with which theory says that the
            sensitivity of a unit to its gate grows, if its input is white noise. It is
            3/2, and 1/2 if a unit that remembers longer takes in less of its input.
            None if there is no gate.
    """

    layer: Callable[..., Any]
    step: Callable[..., Any]
    scope: str
    gate: str = ""
    options: Any = _MATCHED_OPTIONS
    weight_variance: float = WEIGHT_VARIANCE
    chrono: bool = False
    memory_exponent: float | None = None


_ORTHOGONAL = {
    "input_init": uniform_init,
    "recurrent_init": initializers.orthogonal(),
}
FAMILIES = {
    "RNN": Family(nn.RNN, F.rnn_step, "rnn"),
    "GRU": Family(nn.GRU, F.gru_step, "gru", "z", memory_exponent=0.5),
    "LSTM": Family(nn.LSTM, F.lstm_step, "lstm", "f", memory_exponent=1.5),
    "RNN, orthogonal": Family(
        nn.RNN, F.rnn_step, "rnn", options=_ORTHOGONAL, weight_variance=1.0
    ),
    "LSTM, chrono": Family(
        nn.LSTM, F.lstm_step, "lstm", "f", chrono=True, memory_exponent=0.5
    ),
    "minGRU": Family(
        nn.MinGRU,
        F.min_gru_step,
        "min_gru",
        "z",
        {"input_init": uniform_init},
        memory_exponent=0.5,
    ),
}
# Those that every scale has, with matched initialisers.
MATCHED = ("RNN", "GRU", "LSTM")


def make_network(
    family: Family, task: Task, features: int, hidden: int, length: int, rngs: nnx.Rngs
) -> models.ManyToOne:
    """Return a network of `family` for a task of `length` steps."""
    model = task.network(
        family.layer, features, hidden, task.outputs, rngs=rngs, **family.options
    )
    if family.chrono:
        b = F.chrono_bias(rngs.params(), hidden, longest=length)
        params = model.recurrent.params._replace(b=b)
        model.recurrent.set_layer_params([(params,)])
    return model


def initial_state(family: Family, zeros: jax.Array) -> Any:
    """Return the state before the first step, of the shape of `zeros`."""
    return F.LSTMState(zeros, zeros) if family.layer is nn.LSTM else zeros
