"""Convolutions on which XLA's compiler aborts the process without a workaround."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.transposed import conv_transpose
from tests.oracles import conv as oracle


# On the last axis the window is larger than the input. On the first, a window runs over
# a dilated input, or over a dilated cotangent in the backward pass, or the cotangent is
# the window and runs over the dilated input. In "again" only the second order is so.
CASES = {
    "gaps": ((2, 3, 2, 1), (2, 4, 1, 2), (1, 1), (2, 1), ((0, 0), (2, 2))),
    "gradient": ((2, 8, 4, 1), (2, 4, 1, 2), (2, 3), (1, 1), ((1, 1), (3, 0))),
    "larger gaps": ((1, 4, 2, 2), (3, 4, 2, 2), (2, 1), (3, 1), ((0, 0), (2, 1))),
    "input": ((1, 6, 3, 1), (3, 3, 1, 1), (3, 1), (2, 1), ((2, 2), (0, 0))),
    "kernel": ((1, 3, 1, 1), (4, 1, 1, 1), (1, 1), (2, 1), ((0, 0), (2, 2))),
    "groups": ((2, 3, 1, 2), (4, 1, 1, 2), (1, 1), (2, 1), ((0, 0), (2, 2))),
    "again": ((1, 5, 2, 1), (3, 4, 1, 1), (2, 1), (3, 1), ((0, 1), (2, 2))),
}


@pytest.mark.parametrize("implementation", ["library", "lax"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_axes_that_look_like_groups(case, implementation, rng):
    x_shape, kernel_shape, strides, gaps, pairs = case
    x, kernel = rng.normal(size=x_shape), rng.normal(size=kernel_shape)
    ones = (1,) * len(gaps)
    geometry = oracle.Geometry(strides, pairs, gaps, ones, "zeros")
    groups = x_shape[-1] // kernel_shape[-2]
    convolved = lambda x, kernel: oracle.conv(x, kernel, 0, geometry, groups)
    expected = convolved(x, kernel)
    dy = rng.normal(size=expected.shape)

    @jax.jit
    def run(*arrays):
        options = {"strides": strides, "input_dilation": gaps, "padding": pairs}
        options |= {"feature_group_count": groups, "implementation": implementation}
        y, pullback = jax.vjp(lambda *a: conv(*a, **options), *arrays)
        gradients = pullback(jnp.asarray(dy))
        return y, gradients, jax.linear_transpose(pullback, y)(gradients)[0]

    with jax.enable_x64(True):
        y, gradients, again = run(x, kernel)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    adjoints = oracle.conv_adjoints(x, kernel, dy, geometry, groups)[:2]
    second = convolved(adjoints[0], kernel) + convolved(x, adjoints[1])
    np.testing.assert_allclose(again, second, atol=1e-9)
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
