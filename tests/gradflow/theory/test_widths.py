"""Narrow layers, BatchNorm and shattering against NumPy networks and closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import theory


def normalized(x):
    """BatchNorm of `x (batch, units)`, and the standard deviations."""
    std = x.std(axis=0)
    return (x - x.mean(axis=0)) / std, std


def norm_pullback(y, std, gradient):
    """The VJP of BatchNorm, with its statistics as functions of the input."""
    mean, along = gradient.mean(axis=0), (gradient * y).mean(axis=0)
    return (gradient - mean - along * y) / std


def test_a_layer_of_one_unit_is_a_squared_normal():
    spread = theory.finite_width_spread([1])
    np.testing.assert_allclose(spread, (-np.euler_gamma, math.pi / 2**0.5))
    # The nine weights of the window have one factor: 2 / 9 * chi-square of nine.
    draws = np.random.default_rng(0).chisquare(9, 200_000) * 2 / 9
    wide = theory.finite_width_spread([1], window=9)
    np.testing.assert_allclose(wide.mean, np.log(draws).mean(), atol=5e-3)
    np.testing.assert_allclose(wide.std, np.log(draws).std(), rtol=0.01)


def test_finite_width_spread_against_random_networks(rng):
    width, depth, networks = 20, 20, 2000
    gradients = rng.normal(size=(networks, width))
    gradients /= np.linalg.norm(gradients, axis=1, keepdims=True)
    for _ in range(depth):
        w = rng.normal(size=(networks, width, width)) * math.sqrt(2 / width)
        active = rng.random((networks, width)) < 0.5
        gradients = active * np.einsum("nij,nj->ni", w, gradients)
    logs = np.log(np.square(gradients).sum(axis=1))
    spread = theory.finite_width_spread([width] * depth)
    # The tolerances are three standard errors; the leading order is -2.5 and 5.
    np.testing.assert_allclose(logs.mean(), spread.mean, atol=0.17)
    np.testing.assert_allclose(logs.var(), spread.std**2, rtol=0.1)
    assert spread.mean < -2.7 and spread.std**2 > 6


def test_leading_order_of_wide_layers_and_of_windows():
    mixed = theory.finite_width_spread((2000, 10_000))
    np.testing.assert_allclose(mixed.std**2, 5 * (1 / 2000 + 1 / 10_000), rtol=2e-3)
    np.testing.assert_allclose(mixed.mean, -(mixed.std**2) / 2, rtol=2e-3)
    conv = theory.finite_width_spread((2000, 10_000), window=4)
    np.testing.assert_allclose(conv.std**2, 2 * (1 / 2000 + 1 / 10_000), rtol=2e-3)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_plain_networks_with_batch_norm_explode(activation, rng):
    """Against backpropagation through the statistics of the batch, in NumPy."""
    width, depth, batch = 200, 20, 200
    function, slope, ours = {
        "relu": (lambda z: np.maximum(z, 0), lambda z: z > 0, jax.nn.relu),
        "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2, jnp.tanh),
    }[activation]
    x, layers = rng.normal(size=(batch, width)), []
    for _ in range(depth):
        w = rng.normal(size=(width, width)) * 0.3
        y, std = normalized(x @ w)
        layers.append((w, y, std))
        x = function(y)
    gradient = rng.normal(size=x.shape)
    logs = [math.log(np.linalg.norm(gradient))]
    for w, y, std in reversed(layers):
        gradient = norm_pullback(y, std, slope(y) * gradient) @ w.T
        logs.append(math.log(np.linalg.norm(gradient)))
    measured = np.polyfit(np.arange(depth + 1), logs, 1)[0]
    expected = theory.batch_norm_slope(ours)
    np.testing.assert_allclose(measured, expected, atol=0.015)
    if activation == "relu":
        closed = 0.5 * math.log(math.pi / (math.pi - 1))
        np.testing.assert_allclose(expected, closed, rtol=1e-4)


def test_resnets_with_batch_norm_grow_as_a_power(rng):
    width, blocks, batch = 200, 12, 200
    x, network = np.maximum(rng.normal(size=(batch, width)), 0), []
    for _ in range(blocks):
        f, branch = x, []
        for layer in range(2):
            active = f > 0 if layer else np.ones_like(f)
            w = rng.normal(size=(width, width))
            y, std = normalized(np.where(active, f, 0) @ w)
            branch.append((w, active, y, std))
            f = np.maximum(y, 0) if layer == 0 else y
        network.append((branch, x + f > 0))
        x = np.maximum(x + f, 0)
    gradient = rng.normal(size=x.shape)
    logs = [math.log(np.linalg.norm(gradient))]
    for branch, active in reversed(network):
        gradient = active * gradient
        through = gradient
        for w, inner, y, std in reversed(branch):
            through = inner * (norm_pullback(y, std, through) @ w.T)
        gradient = gradient + through
        logs.append(math.log(np.linalg.norm(gradient)))
    measured = np.array(logs[::-1]) - logs[0]
    predicted = theory.batch_norm_resnet_profile(blocks)
    assert predicted[0] > 2.5
    np.testing.assert_allclose(measured, predicted, atol=0.15)
    # A branch of one layer has no ReLU inside, and the gradient grows less.
    assert theory.batch_norm_resnet_profile(blocks, layers=1)[0] < predicted[0] - 0.3


def test_gradients_of_a_residual_network_shatter_faster_than_a_root(rng):
    width, blocks, inputs = 400, 16, 400
    x, network = rng.normal(size=(inputs, width)), []
    for _ in range(blocks):
        w = rng.normal(size=(width, width)) * math.sqrt(2 / width)
        y, std = normalized(x)
        network.append((w, y > 0, std))
        x = x + np.maximum(y, 0) @ w
    gradient = np.tile(rng.normal(size=width), (inputs, 1))
    for w, active, std in reversed(network):
        gradient = gradient + active * (gradient @ w.T) / std
    unit = gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
    between = (np.square(unit.sum(axis=0)).sum() - inputs) / (inputs * (inputs - 1))
    predicted = theory.residual_gradient_correlation(blocks)
    assert predicted.shape == (blocks,) and predicted[0] == 0.75
    np.testing.assert_allclose(between, predicted[-1], atol=0.012)
    deep = theory.residual_gradient_correlation(40_000)
    exponent = math.log(deep[39_999] / deep[9_999], 4)
    np.testing.assert_allclose(exponent, -math.pi / (2 * math.pi - 2), atol=1e-3)
    np.testing.assert_array_equal(
        theory.residual_gradient_correlation(3, weight_variance=0.0), 1.0
    )


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"`widths\[1\]` is 0"):
        theory.finite_width_spread([3, 0])
    with pytest.raises(ValueError, match=r"`window` is 0"):
        theory.finite_width_spread([3], window=0)
    with pytest.raises(ValueError, match=r"`activation` is constant"):
        theory.batch_norm_slope(jnp.ones_like)
    with pytest.raises(ValueError, match=r"`layers` is 0"):
        theory.batch_norm_resnet_profile(3, layers=0)
    with pytest.raises(ValueError, match=r"`blocks` is 0"):
        theory.residual_gradient_correlation(0)
    with pytest.raises(ValueError, match=r"`variance` is 0"):
        theory.residual_gradient_correlation(3, variance=0.0)
