"""The initialisers of kernels against what they promise, in NumPy."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn


KEY = jax.random.key(3)
SHAPES = {
    "square": ((3, 3), 5, 5),
    "wider": ((3,), 4, 7),
    "narrower": ((2, 5), 7, 4),
    "no-window": ((), 6, 6),
}


@pytest.mark.parametrize(("window", "rows", "columns"), SHAPES.values(), ids=SHAPES)
def test_only_the_center_is_not_zero_and_it_is_orthogonal(window, rows, columns):
    kernel = F.delta_orthogonal_init(1.7)(KEY, (*window, rows, columns))
    rest = np.asarray(kernel, np.float64)
    center = tuple((length - 1) // 2 for length in window)
    matrix = rest[center].copy()
    rest[center] = 0.0
    assert not rest.any()
    few = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(few, 1.7**2 * np.eye(len(few)), atol=1e-5)


def test_padding_same_puts_the_center_on_the_output_position(rng):
    x = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
    for window in ((3, 3), (2, 4)):
        kernel = F.delta_orthogonal_init()(KEY, (*window, 3, 3))
        matrix = kernel[tuple((length - 1) // 2 for length in window)]
        np.testing.assert_allclose(F.conv(x, kernel), x @ matrix, atol=1e-5)


def test_a_stack_draws_another_matrix_for_each_layer():
    init = F.delta_orthogonal_init()
    make = lambda rngs: nn.Conv(4, 4, (3, 3), kernel_init=init, rngs=rngs)
    kernels = np.asarray(nn.Stack(make, 6, rngs=nnx.Rngs(0)).blocks.kernel[...])
    matrices = kernels[:, 1, 1]
    squares = np.einsum("lij,lkj->lik", matrices, matrices)
    np.testing.assert_allclose(squares, np.tile(np.eye(4), (6, 1, 1)), atol=1e-5)
    assert len(np.unique(matrices)) == matrices.size


def test_a_kernel_in_bfloat16_is_drawn_in_float32():
    kernel = F.delta_orthogonal_init()(KEY, (3, 4, 4), jnp.bfloat16)
    assert kernel.dtype == jnp.bfloat16
    matrix = np.asarray(kernel[1], np.float64)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(4), atol=0.01)


def test_a_looks_linear_convolution_of_crelu_is_linear(rng):
    x = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
    init = F.looks_linear_init(jax.nn.initializers.lecun_normal())
    kernel = init(KEY, (3, 3, 6, 4))
    y, slope = jax.jvp(lambda x: F.conv(F.crelu(x), kernel), (x,), (2 * x,))
    np.testing.assert_allclose(y, F.conv(x, kernel[:, :, :3]), atol=1e-5)
    np.testing.assert_allclose(slope, 2 * y, atol=1e-5)
    np.testing.assert_array_equal(kernel[:, :, 3:], -kernel[:, :, :3])


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match="`gain` is 'big'; wanted the factor"):
        inspect.unwrap(F.delta_orthogonal_init)("big")
    with pytest.raises(TypeError, match="`init` is 2; wanted an initialiser"):
        inspect.unwrap(F.looks_linear_init)(2)
    with pytest.raises(ValueError, match=r"`kernel_init` .*\(3,\); wanted a kernel"):
        F.delta_orthogonal_init()(KEY, (3,))
    with pytest.raises(ValueError, match="5 input channels; wanted an even number"):
        F.looks_linear_init()(KEY, (3, 5, 4))
