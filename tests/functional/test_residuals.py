"""The residuals of a function are not much larger than its arguments.

In a scan every residual becomes a stack of all steps, and outside of `jit` also those
are stored that the derivative does not read.
"""

import functools

import jax
import jax.numpy as jnp
import pytest

from jaxnets import functional as F


IMAGES = (2, 9, 9, 16)
WINDOWS_3_S2 = 2 * 4 * 4 * 16
FLOAT = 4


def size_in_bytes(tree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def residual_bytes(function, *arrays) -> int:
    """Return the size of the residuals of a function, outside of `jit`.

    Inside, JAX keeps those of the implementation of every platform until it lowers the
    program; `tests/test_platforms.py` has what is left of them.
    """
    return size_in_bytes(jax.vjp(function, *arrays)[1])


def ones(*shapes: tuple[int, ...]) -> list[jax.Array]:
    return [jnp.ones(shape) for shape in shapes]


# With the shapes of the residuals. "blocks" fills up the kernel, "phases" pads `x`.
CONVOLUTIONS = {
    "library": (F.conv, (3, 3, 16, 16), {}, [IMAGES, (3, 3, 16, 16)]),
    "strides": (F.conv, (3, 3, 16, 16), {"strides": 2}, [IMAGES, (3, 3, 16, 16)]),
    "product": (F.conv, (1, 1, 16, 16), {}, [IMAGES, (1, 1, 16, 16)]),
    "shifts": (
        F.conv,
        (3, 3, 1, 16),
        {"feature_group_count": 16},
        [(2, 11, 11, 16), (3, 3, 1, 16)],
    ),
    "blocks": (
        F.conv,
        (3, 3, 4, 16),
        {"feature_group_count": 4},
        [IMAGES, (3, 3, 16, 16), (4, 4)],
    ),
    "transpose": (
        F.conv_transpose,
        (3, 3, 16, 16),
        {"strides": 2},
        [(2, 10, 10, 16), (3, 3, 16, 16)],
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_stores_its_operands(name):
    function, kernel_shape, options, residuals = CONVOLUTIONS[name]
    stored = residual_bytes(
        functools.partial(function, **options), *ones(IMAGES, kernel_shape)
    )
    assert stored <= size_in_bytes(ones(*residuals)) + 2 * FLOAT


def test_the_gradients_of_a_depthwise_convolution_store_their_operands():
    def gradients(x, kernel, dy):
        return jax.vjp(F.depthwise_conv, x, kernel)[1](dy)

    stored = residual_bytes(gradients, *ones((2, 9, 16), (3, 16, 1), (2, 9, 16)))
    padded_x, kernel, dy = (2, 11, 16), (3, 16), (2, 9, 16)
    assert stored <= size_in_bytes(ones(padded_x, kernel, dy)) + 2 * FLOAT


def test_planes_store_the_input_once():
    x, kernel = ones((2, 5, 5, 5, 4), (3, 3, 3, 4, 4))
    stored = residual_bytes(F.conv, x, kernel)
    assert stored <= size_in_bytes((x, kernel)) + FLOAT


POOLS = {
    # The number of the maximal element: a byte for each window and stage.
    "max": (lambda x: F.max_pool(x, 3, strides=2), WINDOWS_3_S2),
    "max-all-padded": (
        lambda x: F.max_pool(x, 3, strides=1, padding=1),
        2 * (11 * 9 + 9 * 9) * 16,
    ),
    "max-indices": (
        lambda x: F.max_pool_with_indices(x, 3, strides=2)[0],
        WINDOWS_3_S2,
    ),
    # An index for each window, axis by axis.
    "adaptive-max": (lambda x: F.adaptive_max_pool(x, 3), 2 * (27 + 9) * 16 * FLOAT),
    "global-max": (F.global_max_pool, 2 * 16 * FLOAT),
    # At most the number of elements in each window.
    "sum": (lambda x: F.sum_pool(x, 3, strides=2), 0),
    "avg": (lambda x: F.avg_pool(x, 3, strides=2, padding=1), 25 * FLOAT),
    "adaptive-avg": (lambda x: F.adaptive_avg_pool(x, 4), 8 * FLOAT),
    "global-avg": (F.global_avg_pool, 0),
    # The input, and the result of each axis.
    "lp": (
        lambda x: F.lp_pool(x, 3, p=3, strides=2),
        2 * 81 * 16 * FLOAT + WINDOWS_3_S2 * FLOAT,
    ),
    "logsumexp": (
        lambda x: F.logsumexp_pool(x, 3, strides=2),
        2 * (81 + 9 * 4) * 16 * FLOAT,
    ),
    "unfold": (lambda x: F.unfold(x, 3), 0),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_stores_no_copy_for_each_element_of_a_window(name):
    pool, limit = POOLS[name]
    assert residual_bytes(pool, *ones(IMAGES)) <= limit + 2 * FLOAT
