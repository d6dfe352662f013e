"""Mean-field theory against numerical integrals, published figures and simulations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import theory
from tests.oracles import gradflow as oracle


def tanh_slope_squared(x):
    return (1 - np.tanh(x) ** 2) ** 2


@pytest.mark.parametrize("q", [0.0, 0.3, 2.0, 30.0])
def test_length_map_is_the_integral(q):
    expected = 1.7 * oracle.gaussian_mean(lambda x: np.tanh(x) ** 2, q) + 0.2
    actual = theory.length_map(jnp.tanh, q, weight_variance=1.7, bias_variance=0.2)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("q", [0.1, 3.0])
def test_relu_is_exact_despite_its_kink(q):
    arguments = {"weight_variance": 1.5, "bias_variance": 0.25}
    length = theory.length_map(jax.nn.relu, q, **arguments)
    np.testing.assert_allclose(length, 0.75 * q + 0.25, rtol=1e-12)
    chi = theory.chi_1(jax.nn.relu, **arguments, q=q)
    np.testing.assert_allclose(chi, 0.75, rtol=1e-12)
    fixed = theory.fixed_point_length(jax.nn.relu, **arguments)
    np.testing.assert_allclose(fixed, 1.0, rtol=1e-9)


@pytest.mark.parametrize(
    ("sigma_w", "log_chi"),
    [(0.9, -0.4257), (1.1, -0.1635), (1.5, 0.0879), (2.0, 0.2929)],
)
def test_chi_1_of_tanh(sigma_w, log_chi):
    arguments = {"weight_variance": sigma_w**2, "bias_variance": 0.05}
    q = theory.fixed_point_length(jnp.tanh, **arguments)
    np.testing.assert_allclose(theory.length_map(jnp.tanh, q, **arguments), q)
    chi = theory.chi_1(jnp.tanh, **arguments)
    expected = sigma_w**2 * oracle.gaussian_mean(tanh_slope_squared, q)
    np.testing.assert_allclose(chi, expected, rtol=1e-6)
    np.testing.assert_allclose(math.log(chi), log_chi, atol=0.002)


def test_chi_1_against_a_wide_random_network(rng):
    width, depth, sigma_w, sigma_b = 400, 40, 0.9, math.sqrt(0.05)
    x, layers = rng.normal(size=width), []
    for _ in range(depth):
        w = rng.normal(size=(width, width)) * sigma_w / math.sqrt(width)
        z = w @ np.tanh(x) + sigma_b * rng.normal(size=width)
        layers.append((w, 1 - np.tanh(x) ** 2))
        x = z
    gradient, logs = rng.normal(size=width), []
    for w, slope in reversed(layers):
        gradient = slope * (w.T @ gradient)
        logs.append(math.log(np.linalg.norm(gradient)))
    measured, _ = np.polyfit(np.arange(30), logs[:30], 1)
    chi = theory.chi_1(jnp.tanh, weight_variance=sigma_w**2, bias_variance=sigma_b**2)
    np.testing.assert_allclose(measured, 0.5 * math.log(chi), atol=0.02)


def test_depth_scale():
    np.testing.assert_allclose(theory.depth_scale(math.exp(-0.25)), 4.0)
    assert theory.depth_scale(1.0) == math.inf


@pytest.mark.parametrize(
    ("gain", "without_input", "with_input"),
    [(0.8, -0.2231, -0.452), (0.95, -0.0513, -0.311), (1.0, 0.0, -0.273)],
)
def test_rnn_slope(gain, without_input, with_input):
    np.testing.assert_allclose(theory.rnn_slope(gain), without_input, atol=1e-4)
    np.testing.assert_allclose(theory.rnn_slope(gain, 0.25), with_input, atol=0.002)


def test_gradients_vanish_in_a_driven_rnn_with_a_gain_above_one(rng):
    """Against backpropagation through an orthogonal network with random input."""
    size, steps, gain = 128, 100, 1.2
    w = gain * np.linalg.qr(rng.normal(size=(size, size)))[0]
    h, states = np.zeros(size), []
    for _ in range(steps):
        h = np.tanh(w @ h + 0.5 * rng.normal(size=size))
        states.append(h)
    gradient, logs = rng.normal(size=size), []
    for h in reversed(states):
        gradient = w.T @ ((1 - h**2) * gradient)
        logs.append(math.log(np.linalg.norm(gradient)))
    measured, _ = np.polyfit(np.arange(80), logs[:80], 1)
    np.testing.assert_allclose(theory.rnn_slope(gain, 0.25), measured, atol=0.015)
    assert measured < -0.12


def test_forget_gate_slope():
    for bias, slope in [(0.0, -0.693), (1.0, -0.313), (2.0, -0.127), (4.0, -0.018)]:
        np.testing.assert_allclose(theory.forget_gate_slope(bias), slope, atol=5e-4)
    np.testing.assert_allclose(theory.forget_gate_slope(-800.0), -800.0)


def backward_slope(rng, weight_variance, shortcut):
    """Log-norm per block of a gradient through pre-activation blocks of two layers."""
    width, blocks = 300, 25
    x, layers = rng.normal(size=width), []
    for _ in range(blocks):
        branch, f = [], x
        for _ in range(2):
            w = rng.normal(size=(width, width)) * math.sqrt(weight_variance / width)
            branch.append((w, f > 0))
            f = w @ np.maximum(f, 0)
        layers.append(branch)
        x = x + f if shortcut else f
    gradient, logs = rng.normal(size=width), []
    for branch in reversed(layers):
        through = gradient
        for w, active in reversed(branch):
            through = active * (w.T @ through)
        gradient = gradient + through if shortcut else through
        logs.append(math.log(np.linalg.norm(gradient)))
    return np.polyfit(np.arange(blocks), logs, 1)[0]


@pytest.mark.parametrize("weight_variance", [1.0, 2.0])
def test_relu_slopes_against_random_networks(weight_variance, rng):
    plain = backward_slope(rng, weight_variance, shortcut=False)
    expected = 2 * theory.plain_relu_slope(weight_variance)
    np.testing.assert_allclose(plain, expected, atol=0.05)
    residual = backward_slope(rng, weight_variance, shortcut=True)
    expected = theory.residual_relu_slope(weight_variance, 2)
    np.testing.assert_allclose(residual, expected, atol=0.05)


@pytest.mark.parametrize(("size", "window"), [(8, 3), (1, 3), (5, 4), (3, 7), (9, 1)])
def test_border_fraction_counts_window_elements(size, window):
    fraction = theory.conv_border_fraction(size, window)
    np.testing.assert_allclose(fraction, oracle.conv_border_fraction(size, window))
    square = theory.conv_border_fraction((size, 6), (window, 2))
    np.testing.assert_allclose(square, fraction * oracle.conv_border_fraction(6, 2))


def test_border_rate_against_a_deep_linear_convolution(rng):
    size, depth, channels, chains = 6, 30, 8, 60
    logs = np.zeros(depth)
    for _ in range(chains):
        gradient = rng.normal(size=(size, channels))
        for layer in range(depth):
            kernel = rng.normal(size=(3, channels, channels)) / math.sqrt(3 * channels)
            padded = np.pad(gradient, ((1, 1), (0, 0)))
            gradient = sum(padded[k : k + size] @ kernel[k] for k in range(3))
            logs[layer] += np.sum(gradient**2)
            assert np.isfinite(logs[layer])
    slope, _ = np.polyfit(np.arange(5, depth), np.log(logs[5:]), 1)
    rate = theory.conv_border_rate(size, 3)
    np.testing.assert_allclose(rate, (1 + 2 * math.cos(math.pi / 7)) / 3)
    np.testing.assert_allclose(slope, math.log(rate), atol=0.05)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"`weight_variance` is -1"):
        theory.plain_relu_slope(-1.0)
    with pytest.raises(ValueError, match="has no fixed point"):
        theory.chi_1(jax.nn.relu, weight_variance=3.0, bias_variance=0.0)
    with pytest.raises(ValueError, match=r"`size` is \(8, 8\) and `window` is 3"):
        theory.conv_border_fraction((8, 8), 3)
    with pytest.raises(ValueError, match=r"`layers` is 0"):
        theory.residual_relu_slope(2.0, 0)
    with pytest.raises(ValueError, match=r"`gain` is nan"):
        theory.rnn_slope(math.nan)
