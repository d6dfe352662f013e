"""Pools for the crossing with all transformations."""

import functools

import numpy as np

from jaxnets.functional.global_pool import global_avg_pool, global_max_pool
from jaxnets.functional.pool import avg_pool, max_pool, sum_pool
from tests.cases import Case


def distinct(*shape):
    """Numbers in a mixed order, no two of them close to a tie, none zero."""
    size = int(np.prod(shape))
    order = np.random.default_rng(7).permutation(size)
    return ((order - size / 2 + 0.25) / 16).astype(np.float32).reshape(shape)


CASES = [
    Case(
        "max-pool",
        functools.partial(max_pool, window_shape=2),
        (distinct(2, 6, 5, 3),),
    ),
    Case(
        "max-pool-overlapping-dilated",
        functools.partial(
            max_pool, window_shape=3, strides=(1, 2), padding=1, window_dilation=2
        ),
        (distinct(2, 7, 6, 2),),
    ),
    Case(
        "avg-pool-ceil-without-pads",
        functools.partial(
            avg_pool,
            window_shape=3,
            strides=2,
            padding=((1, 0), (0, 1)),
            ceil_mode=True,
            count_include_pad=False,
        ),
        (distinct(2, 7, 6, 2),),
    ),
    Case(
        "sum-pool-circular",
        functools.partial(
            sum_pool,
            window_shape=3,
            strides=2,
            padding=2,
            padding_mode="circular",
        ),
        (distinct(2, 7, 3),),
    ),
    Case("global-avg-pool", global_avg_pool, (distinct(2, 3, 5, 3),)),
    Case("global-max-pool", global_max_pool, (distinct(2, 3, 5, 3),)),
]
