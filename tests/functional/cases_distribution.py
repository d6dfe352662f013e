"""More cases for the test of several devices: forced implementations, zero states."""

import functools

import jax
import numpy as np

from jaxnets import functional as F
from jaxnets.functional.convolution.general import CONV_IMPLEMENTATIONS
from tests.cases import Case
from tests.cells import EVERY
from tests.functional.convolution.cases import arrays
from tests.functional.pooling.cases import distinct
from tests.functional.recurrence.setup import as_float32, draw_params


# Shapes of x and kernel that suit each implementation of `conv`, and the groups.
SHAPES = {
    "product": ((2, 5, 4, 3), (1, 1, 3, 4), 1),
    "shifts": ((2, 5, 4, 3), (3, 2, 1, 6), 3),
    "blocks": ((2, 5, 4, 6), (3, 2, 2, 9), 3),
    "planes": ((2, 5, 4, 3, 2), (3, 2, 2, 2, 3), 1),
    "library": ((2, 5, 4, 3), (3, 2, 3, 4), 1),
    "lax": ((2, 5, 4, 3), (3, 2, 3, 4), 1),
}
POOLS = {
    "max_pool": ("shifts", "reduce_window", "winners"),
    "sum_pool": ("shifts", "reshape", "reduce_window", "native"),
    "avg_pool": ("native",),
}


def convolution(implementation):
    x, kernel, groups = SHAPES[implementation]
    run = functools.partial(
        F.conv, feature_group_count=groups, implementation=implementation
    )
    return Case(f"conv-{implementation}", run, arrays(0, x, kernel, kernel[-1:]))


def transposed(implementation):
    run = functools.partial(F.conv_transpose, strides=2, implementation=implementation)
    shapes = (2, 3, 4, 2), (3, 2, 2, 3), (3,)
    return Case(f"conv-transpose-{implementation}", run, arrays(1, *shapes))


def pool(name, implementation):
    run = functools.partial(
        getattr(F, name), window_shape=2, implementation=implementation
    )
    return Case(f"{name}-{implementation}", run, (distinct(2, 4, 6, 3),))


def from_zero_state(family):
    """Return a case of a cell that begins with zeros and has the default options."""
    params = draw_params(family, np.random.default_rng(0), 3, 3)
    leaves = jax.tree.leaves(as_float32(params))

    def run(x, *leaves):
        return family.run(family.params(*leaves), x)

    return Case(f"{family.name}-from-zero", run, (*arrays(2, (2, 4, 3)), *leaves))


def both_directions(x, w_xh, w_hh, b):
    params = F.GRUParams(w_xh, w_hh, b)
    return F.bidirectional(F.gru, params, params, x)


def conv_lstm(x, w_xh, w_hh, b):
    return F.conv_lstm(F.ConvLSTMParams(w_xh, w_hh, b), x)


CASES = [
    *map(convolution, CONV_IMPLEMENTATIONS),
    *map(transposed, ("phases", "library")),
    *(pool(name, how) for name, names in POOLS.items() for how in names),
    *map(from_zero_state, EVERY),
    Case(
        "bidirectional",
        both_directions,
        arrays(3, (2, 4, 3), (3, 9), (3, 9), (9,)),
    ),
    Case(
        "conv-lstm",
        conv_lstm,
        arrays(4, (2, 3, 4, 5, 2), (3, 2, 2, 12), (2, 3, 3, 12), (12,)),
    ),
]
