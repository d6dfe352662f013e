"""`branch` and `effective_path_length` against the sum over all paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import branch, effective_path_length
from tests.oracles import gradflow as oracle


def test_branch_keeps_the_value_and_scales_the_gradient():
    f = lambda x, a: x + branch(jnp.sin(x), a)
    for scale in (0.0, 0.5, 1.0):
        value, gradient = jax.value_and_grad(f)(0.3, scale)
        np.testing.assert_allclose(value, 0.3 + np.sin(0.3), rtol=1e-6)
        np.testing.assert_allclose(gradient, 1 + scale * np.cos(0.3), rtol=1e-6)
        assert jax.grad(f, argnums=1)(0.3, scale) == 0.0


def test_branch_at_scale_one_has_the_derivatives_of_the_block():
    f = lambda x: x + branch(jnp.sin(x), 1.0)
    plain = lambda x: x + jnp.sin(x)
    for order in (jax.grad, lambda f: jax.grad(jax.grad(f)), jax.jacfwd):
        np.testing.assert_allclose(order(f)(0.3), order(plain)(0.3), rtol=1e-6)


def test_branch_keeps_half_precision():
    x = jnp.ones(3, jnp.bfloat16)
    f = lambda x: jnp.sum(branch(2 * x, jnp.float32(0.5)).astype(jnp.float32))
    assert jax.grad(f)(x).dtype == jnp.bfloat16
    np.testing.assert_array_equal(jax.grad(f)(x).astype(jnp.float32), 1.0)


@pytest.mark.parametrize("eps", [0.1, 0.256, 0.6])
def test_the_mean_length_of_a_linear_network(eps):
    blocks = 54

    def network(x, branch_scale):
        block = lambda x, _: (x + branch(eps * x, branch_scale), None)
        return jnp.sum(jax.lax.scan(block, x, length=blocks)[0])

    length = effective_path_length(lambda a: jax.grad(network)(jnp.ones(3), a))
    np.testing.assert_allclose(length, blocks * eps / (1 + eps), rtol=1e-4)


def test_against_the_sum_over_all_paths(rng):
    branches = rng.normal(size=(6, 4, 4), scale=0.3).astype(np.float32)
    weights = rng.normal(size=4).astype(np.float32)

    def loss(x, branch_scale):
        for w in branches:
            x = x + branch(w @ x, branch_scale)
        return x @ weights

    length = jax.jit(lambda x: effective_path_length(lambda a: jax.grad(loss)(x, a)))(
        jnp.ones(4)
    )
    # The gradient passes the last block first.
    expected = oracle.path_length(branches[::-1].astype(np.float64), weights)
    np.testing.assert_allclose(length, expected, rtol=1e-4)


def test_nonlinear_branches_count_as_their_tangents(rng):
    """The length is that of the linear network of the branches' Jacobians."""
    branches = rng.normal(size=(4, 3, 3), scale=0.5).astype(np.float32)
    x = rng.normal(size=3).astype(np.float32)

    def loss(x, branch_scale):
        for w in branches:
            x = x + branch(jnp.tanh(w @ x), branch_scale)
        return jnp.sum(x)

    tangents, state = [], x.astype(np.float64)
    for w in branches.astype(np.float64):
        f = np.tanh(w @ state)
        tangents.append((1 - f**2)[:, None] * w)
        state = state + f
    length = effective_path_length(lambda a: jax.grad(loss)(x, a))
    expected = oracle.path_length(tangents[::-1], np.ones(3))
    np.testing.assert_allclose(length, expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_tiny_and_huge_gradients(scale):
    f = lambda x, a: jnp.sum(x + branch(0.5 * x, a)) * scale
    length = effective_path_length(lambda a: {"x": jax.grad(f)(jnp.ones(3), a)})
    np.testing.assert_allclose(length, 1 / 3, rtol=1e-5)


def test_a_zero_gradient_has_no_length():
    assert np.isnan(effective_path_length(lambda a: jnp.zeros(3) * a))
    with pytest.raises(ValueError, match="`input_gradient` returned no floating"):
        effective_path_length(lambda a: jnp.arange(3))
