"""The pools that `test_transforms` combines with every transformation."""

import functools

import numpy as np

from jaxnets.functional.pooling.adaptive import adaptive_avg_pool, adaptive_max_pool
from jaxnets.functional.pooling.fractional import fractional_max_pool
from jaxnets.functional.pooling.global_pool import (
    global_avg_pool,
    global_max_pool,
    global_sum_pool,
)
from jaxnets.functional.pooling.indices import max_pool_with_indices, max_unpool
from jaxnets.functional.pooling.norms import logsumexp_pool, lp_pool
from jaxnets.functional.pooling.window import avg_pool, max_pool, sum_pool
from tests.cases import Case


def distinct(*shape):
    """Numbers in random order, of which no two are nearly equal and none is zero."""
    size = int(np.prod(shape))
    order = np.random.default_rng(7).permutation(size)
    return ((order - size / 2 + 0.25) / 16).astype(np.float32).reshape(shape)


# One sample for each of three channels and two spatial axes.
SAMPLES = np.linspace(0.0, 0.95, 12, dtype=np.float32).reshape(2, 3, 2)
# No index occurs twice: the derivative would be a convention, and not the slope.
INDICES = np.array([[0, 5], [7, 3], [5, -1], [2, 11]], np.int32).reshape(2, 2, 2)


def pool_and_unpool(x):
    """Pool with indices, and write the maxima back to their positions."""
    y, indices = max_pool_with_indices(x, 2, padding=1)
    return max_unpool(y, indices, x.shape[-3:-1])


# Every pool over windows: its function, its name in the oracle and further options.
WINDOW_POOLS = {
    "max_pool": (max_pool, "max", {}),
    "sum_pool": (sum_pool, "sum", {}),
    "avg_pool": (avg_pool, "avg", {}),
    "lp_pool": (lp_pool, "lp", {"p": 3.0}),
    "logsumexp_pool": (logsumexp_pool, "logsumexp", {}),
}
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
        "max-pool-3d-circular-ceil",
        functools.partial(
            max_pool,
            window_shape=2,
            padding=(1, 0, (0, 1)),
            padding_mode="circular",
            ceil_mode=True,
        ),
        (distinct(2, 3, 3, 4, 2),),
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
    Case(
        "lp-pool",
        functools.partial(lp_pool, window_shape=2, ceil_mode=True),
        (distinct(2, 5, 4, 2),),
    ),
    Case(
        "lp-pool-overlapping",
        functools.partial(
            lp_pool, window_shape=3, p=3, strides=2, padding=1, padding_mode="replicate"
        ),
        (distinct(2, 7, 2),),
    ),
    Case(
        "logsumexp-pool",
        functools.partial(
            logsumexp_pool,
            window_shape=3,
            strides=(2, 1),
            padding=1,
            padding_mode="reflect",
            window_dilation=2,
        ),
        (distinct(2, 7, 6, 2),),
    ),
    Case(
        "max-pool-with-indices",
        functools.partial(
            max_pool_with_indices,
            window_shape=(3, 2),
            strides=1,
            padding=1,
            padding_mode="symmetric",
        ),
        (distinct(2, 4, 5, 2),),
    ),
    Case(
        "max-unpool",
        functools.partial(max_unpool, indices=INDICES, spatial_shape=(12,)),
        (distinct(2, 2, 2),),
        examples={"indices": INDICES},
    ),
    Case("max-pool-and-unpool", pool_and_unpool, (distinct(2, 6, 5, 2),)),
    Case(
        "adaptive-max-pool",
        functools.partial(adaptive_max_pool, output_shape=(3, None)),
        (distinct(2, 5, 4, 2),),
    ),
    Case(
        "adaptive-avg-pool",
        functools.partial(adaptive_avg_pool, output_shape=(3, 7)),
        (distinct(2, 7, 5, 2),),
    ),
    Case(
        "fractional-max-pool",
        functools.partial(
            fractional_max_pool, window_shape=2, output_shape=(5, 3), samples=SAMPLES
        ),
        (distinct(2, 7, 5, 3),),
        examples={"samples": SAMPLES},
    ),
    Case("global-avg-pool", global_avg_pool, (distinct(2, 3, 5, 3),)),
    Case("global-max-pool", global_max_pool, (distinct(2, 3, 5, 3),)),
    Case("global-sum-pool", global_sum_pool, (distinct(2, 3, 5, 3),)),
]
