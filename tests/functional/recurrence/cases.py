"""Cases of recurrences for the tests of JAX's transformations."""

import jax.numpy as jnp
import numpy as np

from jaxnets.functional import (
    GRUParams,
    LSTMParams,
    LSTMState,
    RNNParams,
    gru,
    gru_step,
    lstm,
    lstm_step,
    recur,
    rnn,
    rnn_step,
)
from tests.cases import Case
from tests.cells import LINEAR, PARALLEL


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


def custom_step(x, h, w):
    def step(h, x_t):
        h = jnp.sin(h @ w + x_t)
        return h, h * h

    return recur(step, h, x, lengths=LENGTHS, resets=RESETS, checkpoint=2)


def runs(implementation):
    """Return the cases of one implementation; only "scan" supports forward mode."""
    how = {"implementation": implementation}
    cases = [
        (
            "rnn",
            lambda x, h, *w: rnn(
                RNNParams(*w), x, h, resets=RESETS, zoneout=0.2, **how
            ),
            draw(SEQUENCE, STATE, *weights(1)),
        ),
        (
            "gru-reset-after",
            lambda x, h, *w: gru(GRUParams(*w), x, h, unroll=2, **how),
            draw(SEQUENCE, STATE, *weights(3), (HIDDEN,)),
        ),
        (
            "gru-reset-before",
            lambda x, h, *w: gru(
                GRUParams(*w),
                x,
                h,
                reset_after=False,
                time_major=True,
                layer_norm=True,
                **how,
            ),
            draw((TIME, BATCH, FEATURES), STATE, *weights(3)),
        ),
        (
            "lstm-lengths-reverse",
            lambda x, h, c, *w: lstm(
                LSTMParams(*w), x, LSTMState(h, c), lengths=LENGTHS, reverse=True, **how
            ),
            draw(SEQUENCE, STATE, STATE, *weights(4)),
        ),
        (
            "lstm-peephole-projection-coupled-clip",
            lambda x, *w: lstm(LSTMParams(*w), x, coupled_gates=True, clip=0.7, **how),
            draw(SEQUENCE, *weights(4, OUTPUTS), (3, HIDDEN), (HIDDEN, OUTPUTS)),
        ),
    ]
    if implementation == "in_place":
        standard = ("gru-reset-after", "lstm-lengths-reverse")
        cases = [case for case in cases if case[0] in standard]
    return [
        Case(
            f"{name}-{implementation}",
            function,
            arrays,
            forward_mode=implementation == "scan",
            half_precision=implementation != "in_place",
        )
        for name, function, arrays in cases
    ]


def linear(family, implementation):
    """Return a case of a linear cell, whose implementations support every mode."""
    options = {"resets": RESETS, "lengths": LENGTHS, "reverse": True}
    options["implementation"] = implementation
    run = lambda x, h, *w: family.run(family.params(*w), x, h, **options)
    columns = family.gates * HIDDEN
    arrays = draw(SEQUENCE, STATE, (FEATURES, columns), (columns,))
    return Case(f"{family.name}-{implementation}", run, arrays)


def linear_step(family):
    step = lambda x, h, *w: family.step(family.params(*w), h, x)
    columns = family.gates * HIDDEN
    arrays = draw((BATCH, FEATURES), STATE, (FEATURES, columns), (columns,))
    return Case(f"{family.name}-step", step, arrays)


CASES = [
    *(linear(family, how) for family in LINEAR for how in PARALLEL),
    *map(linear_step, LINEAR),
    *runs("scan"),
    *runs("split"),
    *runs("in_place"),
    Case("recur", custom_step, draw((BATCH, TIME, HIDDEN), STATE, (HIDDEN, HIDDEN))),
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
