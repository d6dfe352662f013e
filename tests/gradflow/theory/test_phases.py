"""Correlations and critical lines: closed forms and random networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import theory
from tests.oracles import gradflow as oracle


UNIT = {"weight_variance": 2.0, "bias_variance": 0.0, "q": 1.0}


def step(x):
    return jnp.where(x > 0, 1.0, 0.0)


@pytest.mark.parametrize("c", [-1.0, -0.6, 0.0, 0.3, 0.95, 1.0])
def test_relu_and_step_are_arc_cosine_kernels(c):
    of_step, of_relu = oracle.arc_cosine_kernels(c)
    relu = {**UNIT, "q": 1.7}
    actual = theory.correlation_map(jax.nn.relu, c, **relu)
    np.testing.assert_allclose(actual, of_relu, atol=2e-5)
    slope = theory.correlation_slope(jax.nn.relu, c, **relu)
    # At |c| = 1 the function returns the slope at 0.9999.
    np.testing.assert_allclose(slope, of_step, atol=1e-6 if abs(c) < 1 else 5e-3)
    actual = theory.correlation_map(step, c, **UNIT)
    np.testing.assert_allclose(actual, of_step, atol=1e-4)
    if abs(c) < 1:
        slope = theory.correlation_slope(step, c, **UNIT)
        expected = 1 / (math.pi * math.sqrt(1 - c**2))
        np.testing.assert_allclose(slope, expected, rtol=3e-3)


def test_relu_with_biases_and_a_given_length():
    variances = {"weight_variance": 1.5, "bias_variance": 0.2}
    kernel = oracle.arc_cosine_kernels(0.4)[1]
    expected = (1.5 * 3.0 / 2 * kernel + 0.2) / (1.5 * 3.0 / 2 + 0.2)
    actual = theory.correlation_map(jax.nn.relu, 0.4, **variances, q=3.0)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    # The slope of the length map is weight_variance / 2.
    np.testing.assert_allclose(theory.length_slope(jax.nn.relu, **variances), 0.75)


@pytest.mark.parametrize(
    ("sigma_w", "chi", "fixed_point"),
    [(0.9, 0.653, 1.0), (1.1, 0.849, 1.0), (1.5, 1.092, 0.567), (2.0, 1.342, 0.165)],
)
def test_tanh_in_both_phases(sigma_w, chi, fixed_point):
    variances = {"weight_variance": sigma_w**2, "bias_variance": 0.05}
    assert round(theory.chi_1(jnp.tanh, **variances), 3) == chi
    c = theory.fixed_point_correlation(jnp.tanh, **variances)
    np.testing.assert_allclose(c, fixed_point, atol=5e-4)
    np.testing.assert_allclose(theory.correlation_map(jnp.tanh, c, **variances), c)
    slope = theory.correlation_slope(jnp.tanh, c, **variances)
    assert slope < 1
    if chi < 1:
        np.testing.assert_allclose(slope, chi, atol=6e-4)
    # Against differences of the maps.
    up, down = (
        theory.correlation_map(jnp.tanh, c + d, **variances) for d in (-1e-3, -2e-3)
    )
    np.testing.assert_allclose((up - down) / 1e-3, slope, atol=2e-3)
    q = theory.fixed_point_length(jnp.tanh, **variances)
    up, down = (theory.length_map(jnp.tanh, q + d, **variances) for d in (1e-5, -1e-5))
    actual = theory.length_slope(jnp.tanh, **variances)
    np.testing.assert_allclose(actual, (up - down) / 2e-5, rtol=1e-6)


def test_two_inputs_in_a_wide_random_network(rng):
    width, sigma_w, sigma_b = 1200, 1.5, math.sqrt(0.05)
    variances = {"weight_variance": sigma_w**2, "bias_variance": sigma_b**2}
    c, q = 0.0, theory.fixed_point_length(jnp.tanh, **variances)
    common, own = rng.normal(size=(2, width, 1)), rng.normal(size=(width, 2))
    u = math.sqrt(q) * (math.sqrt(c) * common[0] + math.sqrt(1 - c) * own)
    for _ in range(6):
        w = rng.normal(size=(width, width)) * sigma_w / math.sqrt(width)
        u = w @ np.tanh(u) + sigma_b * rng.normal(size=(width, 1))
        c = theory.correlation_map(jnp.tanh, c, **variances)
        cosine = u[:, 0] @ u[:, 1] / np.prod(np.linalg.norm(u, axis=0))
        np.testing.assert_allclose(cosine, c, atol=0.06)
    assert 0.25 < c < 0.567


def test_slopes_of_vanishing_signals():
    variances = {"weight_variance": 0.5, "bias_variance": 0.0}
    assert theory.fixed_point_correlation(jnp.tanh, **variances) == 1.0
    for q in (None, 0.0):
        slope = theory.correlation_slope(jnp.tanh, 0.3, **variances, q=q)
        np.testing.assert_allclose(slope, 0.5, rtol=1e-6)
    np.testing.assert_allclose(theory.length_slope(jnp.tanh, **variances), 0.5)
    assert math.isnan(theory.correlation_map(jnp.tanh, 0.3, **variances, q=0.0))


def test_a_step_function_passes_no_gradient_but_distinguishes_inputs():
    variances = {"weight_variance": 2.0, "bias_variance": 0.0}
    assert theory.chi_1(step, **variances) == 0.0
    np.testing.assert_allclose(theory.length_slope(step, **variances), 0, atol=1e-12)
    c = theory.fixed_point_correlation(step, **variances)
    np.testing.assert_allclose(c, oracle.arc_cosine_kernels(c)[0], atol=1e-4)
    assert 0.7 < c < 0.9
    with pytest.raises(ValueError, match="derivative of zero almost everywhere"):
        theory.critical_line(step, 0.1)


@pytest.mark.parametrize("bias_variance", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("activation", [jnp.tanh, jax.nn.sigmoid])
def test_chi_1_is_one_on_the_critical_line(activation, bias_variance):
    weight_variance = theory.critical_line(activation, bias_variance)
    # On the critical line the length map converges to zero too slowly, so q* is given.
    q = None if bias_variance or activation is jax.nn.sigmoid else 0.0
    variances = {"weight_variance": weight_variance, "bias_variance": bias_variance}
    chi = theory.chi_1(activation, **variances, q=q)
    np.testing.assert_allclose(chi, 1.0, atol=1e-6)
    for factor, sign in ((0.9, -1), (1.1, 1)):
        variances["weight_variance"] = factor * weight_variance
        chi = theory.chi_1(activation, **variances)
        assert np.sign(chi - 1.0) == sign


@pytest.mark.parametrize("bias_variance", [0.0, 0.3])
def test_relu_is_critical_at_two(bias_variance):
    weight_variance = theory.critical_line(jax.nn.relu, bias_variance)
    np.testing.assert_allclose(weight_variance, 2.0)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"`c` is 1.5"):
        theory.correlation_map(jnp.tanh, 1.5, **UNIT)
    with pytest.raises(ValueError, match=r"`bias_variance` is -1"):
        theory.critical_line(jnp.tanh, -1.0)
    with pytest.raises(ValueError, match=r"`bias_variance` is 1000000.0; .* critical"):
        theory.critical_line(jnp.tanh, 1e6)
