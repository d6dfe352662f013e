"""Cases of recurrences for the tests of JAX's transformations."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.functional import (
    GRUParams,
    LSTMParams,
    gru,
    lstm,
    recur,
    solve_in_parallel,
)
from tests.cases import Case
from tests.cells import EVERY
from tests.functional.recurrence.setup import as_float32, draw_params, draw_state


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


def custom_step(x, h, w, lengths=LENGTHS, resets=RESETS):
    def step(h, x_t):
        h = jnp.sin(h @ w + x_t)
        return h, h * h

    return recur(step, h, x, lengths=lengths, resets=resets, checkpoint=2)


def chunks(x, h, w):
    def step(h, x_t):
        h = jnp.sin(h @ w + x_t)
        return h, h * h

    return solve_in_parallel(step, h, x, chunks=TIME)[:2]


def batch_axes(drawn):
    """Return the batch axes of the input and the state; the parameters have none."""
    params, state = (len(jax.tree.leaves(tree)) for tree in drawn)
    return dict.fromkeys((0, *range(1 + params, 1 + params + state)), 0)


def standard(family, implementation):
    """Return a case of a cell in its standard form, with all masks."""
    rng = np.random.default_rng(0)
    drawn = (
        draw_params(family, rng, FEATURES, HIDDEN),
        draw_state(family, rng, (BATCH,), HIDDEN),
    )
    leaves, structure = jax.tree.flatten(as_float32(drawn))
    masks = {"lengths": LENGTHS, "resets": RESETS}
    options = {"reverse": True, "implementation": implementation}

    def run(x, *leaves, lengths=LENGTHS, resets=RESETS):
        params, state = jax.tree.unflatten(structure, leaves)
        return family.run(params, x, state, lengths=lengths, resets=resets, **options)

    return Case(
        f"{family.name}-{implementation}",
        run,
        (*draw(SEQUENCE), *leaves),
        forward_mode=implementation not in ("split", "in_place"),
        half_precision=implementation != "in_place",
        batched=batch_axes(drawn),
        examples=masks,
    )


def one_step(family):
    """Return a case of one step of a cell."""
    rng = np.random.default_rng(0)
    drawn = (
        draw_params(family, rng, FEATURES, HIDDEN),
        draw_state(family, rng, (BATCH,), HIDDEN),
    )
    leaves, structure = jax.tree.flatten(as_float32(drawn))

    def step(x_t, *leaves):
        params, state = jax.tree.unflatten(structure, leaves)
        return family.step(params, state, x_t)

    return Case(
        f"{family.name}-step",
        step,
        (*draw((BATCH, FEATURES)), *leaves),
        batched=batch_axes(drawn),
    )


def with_options(implementation):
    """Return cases of cells with options; only "scan" supports forward mode."""
    how = {"implementation": implementation}
    cases = [
        (
            "gru-reset-before",
            lambda x, h, *w: gru(
                GRUParams(*w),
                x,
                h,
                reset_after=False,
                time_major=True,
                layer_norm=True,
                zoneout=0.2,
                unroll=2,
                **how,
            ),
            draw((TIME, BATCH, FEATURES), STATE, *weights(3)),
            {0: 1, 1: 0},
        ),
        (
            "lstm-peephole-projection-coupled-clip",
            lambda x, *w: lstm(LSTMParams(*w), x, coupled_gates=True, clip=0.7, **how),
            draw(SEQUENCE, *weights(4, OUTPUTS), (3, HIDDEN), (HIDDEN, OUTPUTS)),
            {0: 0},
        ),
    ]
    forward = implementation == "scan"
    return [
        Case(
            f"{name}-{implementation}",
            function,
            arrays,
            forward_mode=forward,
            batched=batched,
        )
        for name, function, arrays, batched in cases
    ]


CASES = [
    *(
        standard(family, implementation)
        for family in EVERY
        for implementation in family.cell.implementations
    ),
    *map(one_step, EVERY),
    *with_options("scan"),
    *with_options("split"),
    Case(
        "recur",
        custom_step,
        draw((BATCH, TIME, HIDDEN), STATE, (HIDDEN, HIDDEN)),
        batched={0: 0, 1: 0},
        examples={"lengths": LENGTHS, "resets": RESETS},
    ),
    Case(
        "solve_in_parallel",
        chunks,
        draw((BATCH, TIME, HIDDEN), STATE, (HIDDEN, HIDDEN)),
        batched={0: 0, 1: 0},
    ),
]
