"""Slopes and profiles of gated networks against sampling and backpropagation."""

import math

import numpy as np
import pytest

from jaxnets.gradflow import theory
from tests.oracles import gradflow as oracle


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize(("bias", "variance"), [(0.0, 0.0), (1.0, 2.0), (-2.0, 9.0)])
def test_gate_slopes_by_sampling(bias, variance, rng):
    f = sigmoid(bias + math.sqrt(variance) * rng.normal(size=200_000))
    slopes = theory.gate_slopes(bias, variance)
    np.testing.assert_allclose(slopes.typical, np.mean(np.log(f)), rtol=0.01)
    np.testing.assert_allclose(slopes.mean, math.log(np.mean(f)), rtol=0.01)
    expected = 0.5 * math.log(np.mean(f**2))
    np.testing.assert_allclose(slopes.mean_square, expected, rtol=0.01)
    if variance:
        assert slopes.typical < slopes.mean < slopes.mean_square
    else:
        np.testing.assert_allclose(slopes, theory.forget_gate_slope(bias))


def orthogonal(rng, size):
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


def slope_back(logs):
    """Nats per step back in time, away from both ends."""
    return -np.polyfit(np.arange(len(logs))[20:-20], logs[20:-20], 1)[0]


def log_norms(jacobians, cotangent, of):
    vectors = oracle.adjoint_parts(jacobians, jacobians, cotangent)[0]
    return np.log(np.linalg.norm(vectors[:, of], axis=1))


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, 2.0, 4.0])
def test_lstm_profile_against_backpropagation(forget_bias, rng):
    """Claim 7 of the study: the total slope differs from that of the forget gate."""
    size, steps, gain = 64, 100, 0.5
    w_hh = np.concatenate([gain * orthogonal(rng, size) for _ in range(4)], axis=1)
    w_xh = 0.5 * rng.normal(size=(8, 4 * size)) / math.sqrt(8)
    b = np.repeat([0.0, forget_bias, 0.0, 0.0], size)
    xs = rng.normal(size=(steps, 8))
    series, h, c = [], np.zeros(size), np.zeros(size)
    jacobians, direct_jacobians = oracle.lstm_jacobians((w_xh, w_hh, b), h, c, xs)
    for x in xs:
        a_i, a_f, a_g, a_o = np.split(x @ w_xh + h @ w_hh + b, 4)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c = f * c + i * g
        h = o * np.tanh(c)
        series.append((i, f, g, o, c))
    gates = np.swapaxes(series, 0, 1)
    cotangent = np.append(np.zeros(size), np.ones(size))
    of_c = slice(size, None)
    measured = log_norms(jacobians, cotangent, of_c)
    predicted = theory.lstm_gradient_profile(*gates, weight_variance=gain**2)
    np.testing.assert_allclose(slope_back(predicted), slope_back(measured), atol=0.02)
    # Without recurrent weights only the direct path is left, and it is exact.
    direct = theory.lstm_gradient_profile(*gates, weight_variance=0.0)
    expected = log_norms(direct_jacobians, cotangent, of_c)
    np.testing.assert_allclose(direct, expected - expected[-1], atol=1e-9)
    assert slope_back(direct) + 0.02 < slope_back(predicted)


@pytest.mark.parametrize("gain", [0.5, 1.5])
def test_gru_profile_against_backpropagation(gain, rng):
    size, steps = 96, 100
    w_r, w_z, w_n = (gain * orthogonal(rng, size) for _ in range(3))
    h, series, jacobians = np.zeros(size), [], []
    for _ in range(steps):
        u_r, u_z, u_n = rng.normal(size=(3, size)) * 0.5
        r, z = sigmoid(u_r + h @ w_r), sigmoid(u_z + 1.0 + h @ w_z)
        m = h @ w_n
        n = np.tanh(u_n + r * m)
        candidate = (1 - z) * (1 - n**2)
        jacobians.append(
            np.diag(z)
            + ((h - n) * z * (1 - z))[:, None] * w_z.T
            + (candidate * r)[:, None] * w_n.T
            + (candidate * m * r * (1 - r))[:, None] * w_r.T
        )
        h = (1 - z) * n + z * h
        series.append((r, z, n, h))
    measured = log_norms(jacobians, np.ones(size), slice(None))
    gates = np.swapaxes(series, 0, 1)
    predicted = theory.gru_gradient_profile(*gates, weight_variance=gain**2)
    np.testing.assert_allclose(slope_back(predicted), slope_back(measured), atol=0.02)
    np.testing.assert_allclose(predicted, measured - measured[-1], atol=1.0)


def test_constant_gates_in_closed_form():
    """`e_{t-1} = z e_t + W^T a e_t`: a sum over the number k of passes through W."""
    steps, z, a = 400, 0.4, 0.6 * 0.3
    r, n = np.full((steps, 2), 0.3), np.zeros((steps, 2))
    profile = theory.gru_gradient_profile(r, 0 * r + z, n, n, weight_variance=1.5)
    for back in (1, 3, 10, 399):
        k = np.arange(back + 1)
        choose = [math.lgamma(back + 1) - math.lgamma(j + 1) for j in k]
        choose -= np.array([math.lgamma(back - j + 1) for j in k])
        terms = choose + (back - k) * math.log(z) + k * math.log(a * math.sqrt(1.5))
        expected = 0.5 * np.logaddexp.reduce(2 * terms)
        np.testing.assert_allclose(profile[-1 - back], expected, rtol=1e-9)
    slope = math.log(z + a * math.sqrt(1.5))
    np.testing.assert_allclose(profile[0] - profile[1], slope, atol=2e-3)


def test_closed_gates_and_long_sequences():
    closed = np.zeros((4, 3))
    profile = theory.lstm_gradient_profile(*[closed] * 5, weight_variance=1.0)
    np.testing.assert_array_equal(profile, [-np.inf, -np.inf, -np.inf, 0.0])
    small = np.full((90, 2), 1e-9)
    profile = theory.gru_gradient_profile(*[small] * 4, weight_variance=0.0)
    np.testing.assert_allclose(profile[0], 89 * math.log(1e-9))  # float64 ends at -745


def test_errors_name_the_argument():
    ones = np.ones((4, 3))
    with pytest.raises(ValueError, match=r"`variance` is -1"):
        theory.gate_slopes(0.0, -1.0)
    with pytest.raises(ValueError, match=r"shapes .*`n` \(4, 2\).* wanted one shape"):
        theory.gru_gradient_profile(ones, ones, ones[:, :2], ones, weight_variance=1.0)
    with pytest.raises(ValueError, match="at least two steps"):
        theory.gru_gradient_profile(*np.ones((4, 1, 3)), weight_variance=1.0)
