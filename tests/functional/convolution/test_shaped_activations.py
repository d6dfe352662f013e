"""Transformed activations satisfy their equations, by another quadrature."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F


X, W = np.polynomial.hermite_e.hermegauss(100)
W = W / W.sum()


def tanh(x):
    y = np.tanh(x)
    return y, 1 - y**2, -2 * y * (1 - y**2)


def softplus(x):
    y = 1 / (1 + np.exp(-x))
    return np.log1p(np.exp(x)), y, y * (1 - y)


def derivatives(g, by_hand):
    """Return g and its first two derivatives at the nodes."""
    inner, first, second = by_hand(g.input_scale * X + g.input_shift)
    assert g.input_scale > 0
    y = g.output_scale * (inner + g.output_shift)
    scales = g.output_scale * g.input_scale, g.output_scale * g.input_scale**2
    return y, scales[0] * first, scales[1] * second


@pytest.mark.parametrize(
    ("activation", "by_hand", "depth", "slope"),
    [(jnp.tanh, tanh, 50, 1.5), (jax.nn.softplus, softplus, 1000, 2.0)],
    ids=["tanh", "softplus"],
)
def test_dks_satisfies_its_four_equations(activation, by_hand, depth, slope):
    g = F.dks(activation, depth, slope=slope)
    y, dy, _ = derivatives(g, by_hand)
    np.testing.assert_allclose(W @ y, 0.0, atol=1e-9)
    np.testing.assert_allclose(W @ y**2, 1.0, rtol=1e-9)
    np.testing.assert_allclose(W @ (y * dy * X), 1.0, rtol=1e-8)
    np.testing.assert_allclose((W @ dy**2) ** depth, slope, rtol=1e-6)
    np.testing.assert_allclose(g(jnp.float32(X)), y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("activation", "by_hand", "depth", "curvature"),
    [(jnp.tanh, tanh, 50, 0.3), (jax.nn.softplus, softplus, 1000, 0.5)],
    ids=["tanh", "softplus"],
)
def test_tat_satisfies_its_four_equations(activation, by_hand, depth, curvature):
    g = F.tat(activation, depth, curvature=curvature)
    y, dy, d2y = derivatives(g, by_hand)
    for found in (y**2, y * dy * X, dy**2):
        np.testing.assert_allclose(W @ found, 1.0, rtol=1e-8)
    np.testing.assert_allclose(depth * (W @ d2y**2), curvature, rtol=1e-6)
    # The authors reject solutions on the flat part of the function.
    assert g.input_scale * g.output_scale < 2


@pytest.mark.parametrize("depth", [8, 100])
def test_tat_raises_the_correlation_to_the_given_one(depth):
    g = F.tat_leaky_relu(depth, correlation=0.8)
    s, gain = g.activation.negative_slope, g.output_scale
    f = lambda x: gain * np.where(x > 0, x, s * x)
    # In polar coordinates only the angle is left: E[r^2] is 2.
    angles = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    c = 0.0
    for _ in range(depth):
        c = 2 * np.mean(f(np.cos(angles)) * f(np.cos(angles - np.arccos(c))))
    np.testing.assert_allclose(c, 0.8, rtol=1e-4)
    np.testing.assert_allclose(2 * np.mean(f(np.cos(angles)) ** 2), 1.0, rtol=1e-6)
    x = np.array([-2.0, 3.0], np.float32)
    np.testing.assert_allclose(g(x), f(x), rtol=1e-6)


def test_a_shallow_network_keeps_its_relu():
    assert F.tat_leaky_relu(1).activation.negative_slope == 0.0


def test_equal_shapes_are_equal():
    assert F.tat_leaky_relu(20) == F.tat_leaky_relu(20)
    assert hash(F.tat_leaky_relu(20)) != hash(F.tat_leaky_relu(21))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`slope` is 1.0; wanted a number above 1"):
        F.dks(jnp.tanh, 5, slope=1.0)
    with pytest.raises(ValueError, match=r"`activation` has no shape .* `tat_leaky"):
        F.dks(jax.nn.relu, 5)
    with pytest.raises(ValueError, match=r"`curvature` is 0.0; wanted a number"):
        F.tat(jnp.tanh, 5, curvature=0.0)
    with pytest.raises(ValueError, match=r"no shape for `depth` 5 and `curvature` 0.3"):
        F.tat(jax.nn.relu, 5)
    with pytest.raises(ValueError, match=r"`correlation` is 1.0; wanted"):
        F.tat_leaky_relu(5, correlation=1.0)
    with pytest.raises(TypeError, match="`activation` is 'tanh'; wanted an element"):
        inspect.unwrap(F.dks)("tanh", 5)
