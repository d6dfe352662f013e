"""Recurrences for the crossing with JAX's transformations."""

import jax.numpy as jnp
import numpy as np

from jaxnets.functional.gru import GRUParams, gru, gru_step
from jaxnets.functional.lstm import lstm, lstm_step
from jaxnets.functional.lstm_params import LSTMParams, LSTMState
from jaxnets.functional.recurrence import recur
from jaxnets.functional.rnn import RNNParams, rnn, rnn_step
from tests.cases import Case


BATCH, TIME, FEATURES, HIDDEN, OUTPUTS = 2, 4, 3, 3, 2
LENGTHS = np.array([4, 1])
RESETS = np.array([[0, 0, 1, 0], [0, 1, 0, 1]], bool)


def draw(*shapes):
    rng = np.random.default_rng(len(shapes))
    return tuple(
        (0.5 * rng.standard_normal(shape)).astype(np.float32) for shape in shapes
    )


def weights(gates, outputs=HIDDEN):
    columns = gates * HIDDEN
    return (FEATURES, columns), (outputs, columns), (columns,)


SEQUENCE = (BATCH, TIME, FEATURES)
STATE = (BATCH, HIDDEN)


def own_step(x, h, w):
    def step(h, x_t):
        h = jnp.sin(h @ w + x_t)
        return h, h * h

    return recur(step, h, x, lengths=LENGTHS, resets=RESETS, checkpoint=2)


CASES = [
    Case(
        "rnn",
        lambda x, h, *w: rnn(RNNParams(*w), x, h, resets=RESETS),
        draw(SEQUENCE, STATE, *weights(1)),
    ),
    Case(
        "gru-reset-after",
        lambda x, h, *w: gru(GRUParams(*w), x, h, unroll=2),
        draw(SEQUENCE, STATE, *weights(3), (HIDDEN,)),
    ),
    Case(
        "gru-reset-before",
        lambda x, h, *w: gru(GRUParams(*w), x, h, reset_after=False, time_major=True),
        draw((TIME, BATCH, FEATURES), STATE, *weights(3)),
    ),
    Case(
        "lstm-lengths-reverse",
        lambda x, h, c, *w: lstm(
            LSTMParams(*w), x, LSTMState(h, c), lengths=LENGTHS, reverse=True
        ),
        draw(SEQUENCE, STATE, STATE, *weights(4)),
    ),
    Case(
        "lstm-peephole-projection-coupled-clip",
        lambda x, *w: lstm(LSTMParams(*w), x, coupled_gates=True, clip=0.7),
        draw(SEQUENCE, *weights(4, OUTPUTS), (3, HIDDEN), (HIDDEN, OUTPUTS)),
    ),
    Case("recur", own_step, draw((BATCH, TIME, HIDDEN), STATE, (HIDDEN, HIDDEN))),
    Case(
        "rnn-step",
        lambda x, h, *w: rnn_step(RNNParams(*w), h, x),
        draw((BATCH, FEATURES), STATE, *weights(1)),
    ),
    Case(
        "gru-step",
        lambda x, h, *w: gru_step(GRUParams(*w), h, x),
        draw((BATCH, FEATURES), STATE, *weights(3), (HIDDEN,)),
    ),
    Case(
        "lstm-step",
        lambda x, h, c, *w: lstm_step(LSTMParams(*w), LSTMState(h, c), x),
        draw((BATCH, FEATURES), STATE, STATE, *weights(4), (3, HIDDEN)),
    ),
]
