"""Convolutions on which XLA's compiler aborts the process without a workaround."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.transposed import conv_transpose
from tests.oracles import conv as oracle


# On the last axis the window is larger than the input. On the first, a window of 2 runs
# over a dilated input, or over a dilated cotangent in the backward pass.
CASES = {
    "gaps": ((2, 3, 2, 1), (2, 4, 1, 2), (1, 1), (2, 1), ((0, 0), (2, 2))),
    "gradient": ((2, 8, 4, 1), (2, 4, 1, 2), (2, 3), (1, 1), ((1, 1), (3, 0))),
    "larger gaps": ((1, 4, 2, 2), (3, 4, 2, 2), (2, 1), (3, 1), ((0, 0), (2, 1))),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_axes_that_look_like_groups(case, rng):
    x_shape, kernel_shape, strides, gaps, pairs = case
    x, kernel = rng.normal(size=x_shape), rng.normal(size=kernel_shape)
    ones = (1,) * len(gaps)
    geometry = oracle.Geometry(strides, pairs, gaps, ones, "zeros")
    bias = np.zeros(kernel_shape[-1])
    expected = oracle.conv(x, kernel, bias, geometry, 1)
    dy = rng.normal(size=expected.shape)

    @jax.jit
    def run(*arrays):
        options = {"strides": strides, "input_dilation": gaps, "padding": pairs}
        y, pullback = jax.vjp(lambda *a: conv(*a, **options), *arrays)
        return y, pullback(jnp.asarray(dy))

    with jax.enable_x64(True):
        y, gradients = run(x, kernel)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    adjoints = oracle.conv_adjoints(x, kernel, dy, geometry, 1)[:2]
    for gradient, adjoint in zip(gradients, adjoints, strict=True):
        np.testing.assert_allclose(gradient, adjoint, atol=1e-12)


@pytest.mark.parametrize("implementation", ["library", "lax"])
def test_transposed(implementation, rng):
    x, kernel = rng.normal(size=(2, 3, 2, 1)), rng.normal(size=(2, 4, 1, 2))
    run = lambda name: conv_transpose(
        x, kernel, strides=(2, 1), padding=((1, 1), (0, 0)), implementation=name
    )
    with jax.enable_x64(True):
        np.testing.assert_allclose(run(implementation), run("phases"), atol=1e-12)
