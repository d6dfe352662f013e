"""Gradient profiles against closed forms and backpropagation in wide networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import theory


def log_norms(layers, gradient, shortcut):
    """Log norms of a gradient in a backward pass through `(w, v, slope)` layers."""
    logs = [math.log(np.linalg.norm(gradient))]
    for w, v, slope in reversed(layers):
        through = w.T @ (slope * (gradient if v is None else v.T @ gradient))
        gradient = gradient + through if shortcut else through
        logs.append(math.log(np.linalg.norm(gradient)))
    return np.array(logs[::-1]) - logs[0]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_residual_networks(activation, rng):
    width, blocks, sigma_w, sigma_b, sigma_v, sigma_a = 300, 40, 1.3, 0.3, 0.6, 0.2
    function, slope = {
        "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2),
        "relu": (lambda u: np.maximum(u, 0), lambda u: u > 0),
    }[activation]
    weights = lambda s: rng.normal(size=(width, width)) * s / math.sqrt(width)
    x, layers = 0.5 * rng.normal(size=width), []
    for _ in range(blocks):
        w, v = weights(sigma_w), weights(sigma_v)
        u = w @ x + sigma_b * rng.normal(size=width)
        x = x + v @ function(u) + sigma_a * rng.normal(size=width)
        layers.append((w, v, slope(u)))
    measured = log_norms(layers, rng.normal(size=width), shortcut=True)
    predicted = theory.residual_gradient_profile(
        {"tanh": jnp.tanh, "relu": jax.nn.relu}[activation],
        blocks,
        weight_variance=sigma_w**2,
        bias_variance=sigma_b**2,
        output_weight_variance=sigma_v**2,
        output_bias_variance=sigma_a**2,
        p=0.25,
    )
    assert predicted.shape == (blocks + 1,)
    assert predicted[0] > 2
    # Over seeds the first value has a standard deviation of 0.2 (ReLU).
    np.testing.assert_allclose(measured, predicted, atol=0.5)
    if activation == "relu":
        factor = 1 + 0.5 * sigma_w**2 * sigma_v**2
        expected = 0.5 * math.log(factor) * np.arange(blocks, -1, -1)
        np.testing.assert_allclose(predicted, expected, rtol=1e-9)


@pytest.mark.parametrize(("variance", "scale", "layers"), [(2.0, 1, 2), (2.0, 0.5, 1)])
def test_resnets_with_a_relu_after_the_addition(variance, scale, layers, rng):
    """Against the mean of four networks of blocks `relu(x + s F(x))` in NumPy."""
    width, blocks, profiles = 200, 15, []
    for _ in range(4):
        x, network = np.maximum(rng.normal(size=width), 0), []
        for _ in range(blocks):
            f, branch = x, []
            for layer in range(layers):
                active = f > 0 if layer else np.ones(width)
                w = rng.normal(size=(width, width)) * math.sqrt(variance / width)
                branch.append((w, active))
                f = w @ (active * f)
            network.append((branch, x + scale * f > 0))
            x = np.maximum(x + scale * f, 0)
        gradient = rng.normal(size=width)
        logs = [math.log(np.linalg.norm(gradient))]
        for branch, active in reversed(network):
            gradient = active * gradient
            through = scale * gradient
            for w, inner in reversed(branch):
                through = inner * (w.T @ through)
            gradient = gradient + through
            logs.append(math.log(np.linalg.norm(gradient)))
        profiles.append(np.array(logs[::-1]) - logs[0])
    predicted = theory.resnet_gradient_profile(
        blocks, weight_variance=variance, layers=layers, branch_scale=scale
    )
    assert predicted[0] > 1
    np.testing.assert_allclose(np.mean(profiles, axis=0), predicted, atol=0.4)


def test_residual_tanh_networks_grow_as_the_root_of_depth():
    """`log g ~ sqrt(L)` (Yang and Schoenholz 2017): depth times 4, log g times 2."""
    arguments = {"weight_variance": 2.0, "bias_variance": 0.0}
    profile = theory.residual_gradient_profile(jnp.tanh, 400, **arguments)
    grown = profile[0] - profile
    powers = [math.log(grown[4 * n] / grown[n], 4) for n in (6, 25, 100)]
    assert powers == sorted(powers, reverse=True)
    np.testing.assert_allclose(powers[-1], 0.5, atol=0.04)


def test_plain_networks_before_the_length_has_converged(rng):
    width, depth, q = 500, 30, 9.0
    x, layers = math.sqrt(q) * rng.normal(size=width), []
    for _ in range(depth):
        w = rng.normal(size=(width, width)) * 0.9 / math.sqrt(width)
        layers.append((np.eye(width), w, 1 - np.tanh(x) ** 2))
        x = w @ np.tanh(x) + math.sqrt(0.05) * rng.normal(size=width)
    measured = log_norms(layers, rng.normal(size=width), shortcut=False)
    variances = {"weight_variance": 0.81, "bias_variance": 0.05}
    predicted = theory.plain_gradient_profile(jnp.tanh, depth, **variances, q=q)
    np.testing.assert_allclose(measured, predicted, atol=0.3)
    steps = np.diff(predicted)
    slope = 0.5 * math.log(theory.chi_1(jnp.tanh, **variances))
    np.testing.assert_allclose(steps[-1], -slope, rtol=1e-3)
    assert steps[0] > 1.5 * steps[-1]


def test_a_step_function_passes_gradients_over_shortcuts_only():
    step = lambda x: jnp.where(x > 0, 1.0, 0.0)
    arguments = {"weight_variance": 2.0, "bias_variance": 0.0}
    plain = theory.plain_gradient_profile(step, 2, **arguments, q=1.0)
    np.testing.assert_array_equal(plain, [-np.inf, -np.inf, 0.0])
    residual = theory.residual_gradient_profile(step, 2, **arguments)
    np.testing.assert_array_equal(residual, [0.0, 0.0, 0.0])


def test_errors_name_the_argument():
    arguments = {"weight_variance": 2.0, "bias_variance": 0.0}
    with pytest.raises(ValueError, match=r"`blocks` is 0"):
        theory.residual_gradient_profile(jnp.tanh, 0, **arguments)
    with pytest.raises(ValueError, match=r"`blocks` is 0"):
        theory.resnet_gradient_profile(0, weight_variance=2.0)
    with pytest.raises(ValueError, match=r"`layers` is 0"):
        theory.resnet_gradient_profile(3, weight_variance=2.0, layers=0)
    with pytest.raises(ValueError, match=r"`p` is -1"):
        theory.residual_gradient_profile(jnp.tanh, 3, **arguments, p=-1.0)
    with pytest.raises(ValueError, match=r"`q` is nan"):
        theory.plain_gradient_profile(jnp.tanh, 3, **arguments, q=math.nan)
