"""Mixture densities against SciPy, far from the components too, and their samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import mixture_density_loss, sample_mixture
from tests.oracles import sequences as oracle


value_and_gradient = jax.jit(
    jax.value_and_grad(lambda *a: jnp.sum(mixture_density_loss(*a)), (0, 1))
)


def test_values_and_gradients_are_those_of_scipy(rng):
    outputs = rng.normal(size=(4, 19))
    points = np.concatenate([rng.normal(size=(4, 2)), [[0], [1], [1], [0]]], axis=1)
    by_scipy = lambda o, p: [
        oracle.mixture_loss(*row) for row in zip(o, p, strict=True)
    ]
    narrow = outputs.astype(np.float32), points.astype(np.float32)
    found = mixture_density_loss(*narrow)
    np.testing.assert_allclose(found, by_scipy(outputs, points), rtol=1e-5, atol=1e-6)
    _, (slope, _) = value_and_gradient(*narrow)
    (expected,) = oracle.slopes(lambda o: sum(by_scipy(o, points)), [outputs])
    np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("far", [1e3, 1e6, 1e12])
def test_points_far_from_all_components_have_a_finite_loss(far):
    outputs = np.array([0.5, -0.5, 0, 1, 0, 1, -3, 0, -3, 0, 0.5, 0, 0.3], np.float32)
    point = np.array([far, -far, 1.0], np.float32)
    value, gradients = value_and_gradient(outputs, point)
    assert np.isfinite(value) and value > far
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_strong_correlations_are_exact_in_float32():
    # 1 - tanh(12)^2 is 0 in float32.
    outputs = np.array([0.0, 0, 0, 0, 0, 12.0, 0], np.float64)
    point = np.array([1.0, 1.0 + 1e-5, 0.0])
    with jax.enable_x64(True):
        wide = float(mixture_density_loss(jnp.asarray(outputs), jnp.asarray(point)))
    point = point.astype(np.float32)
    narrow = mixture_density_loss(outputs.astype(np.float32), point)
    # float32 rounds the second coordinate to 1 + 1.0014e-5.
    np.testing.assert_allclose(narrow, wide, rtol=0.02)
    rho, across = np.tanh(12.0), 1 - np.tanh(12.0) ** 2
    u = np.array([1.0, 1.0 + 1e-5])
    z = (u @ u - 2 * rho * u[0] * u[1]) / across
    expected = np.log(2 * np.pi) + 0.5 * np.log(across) + 0.5 * z + np.log(2)
    np.testing.assert_allclose(wide, expected, rtol=1e-3)


def test_the_moments_of_samples_are_those_of_the_mixture():
    w, means = np.log([0.3, 0.7]), np.array([[-4.0, 1.0], [2.0, 5.0]])
    s, r, e = np.log([[0.5, 1.0], [2.0, 0.3]]), np.array([1.0, -0.5]), np.log(0.25)
    outputs = np.concatenate([w, *means.T, *s.T, r, [e]]).astype(np.float32)
    rows = jnp.broadcast_to(outputs, (40000, 13))
    draw = jax.jit(functools.partial(sample_mixture, rows, key=jax.random.key(0)))
    found = np.asarray(draw())
    first = found[:, 0] < -1.2  # about 5.6 and 1.6 deviations from the means
    assert abs(first.mean() - (0.3 + 0.7 * 0.0548)) < 0.01
    assert abs(found[:, 2].mean() - 0.2) < 0.01
    alone = outputs.copy()
    alone[:2] = -50, 50
    rows = jnp.broadcast_to(alone, (40000, 13))
    for temperature in (1.0, 0.25):
        drawn = sample_mixture(rows, key=jax.random.key(1), temperature=temperature)
        x = np.asarray(drawn[:, :2])
        np.testing.assert_allclose(x.mean(0), [2, 5], atol=0.05)
        deviations = np.sqrt(temperature) * np.array([2.0, 0.3])
        np.testing.assert_allclose(x.std(0), deviations, rtol=0.02)
        assert abs(np.corrcoef(x.T)[0, 1] - np.tanh(-0.5)) < 0.02
    cool = lambda heat: sample_mixture(
        rows[:1], key=jax.random.key(0), temperature=heat
    )
    coldest = jax.jit(cool)(0.0)
    np.testing.assert_allclose(coldest, [[2, 5, 0]])


@pytest.mark.parametrize(
    ("outputs", "points", "error", "message"),
    [
        (np.ones(6), np.ones(3), ValueError, r"`outputs` has shape \(6,\); wanted"),
        (np.ones(1), np.ones(3), ValueError, r"`outputs` has shape \(1,\); wanted"),
        (np.ones((2, 7)), np.ones(3), ValueError, r"`points` has shape \(3,\); wanted"),
        (np.ones(7, int), np.ones(3), TypeError, "`outputs` has dtype int"),
        (np.ones(7), np.ones(3, int), TypeError, "`points` has dtype int"),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_errors_name_the_argument(outputs, points, error, message):
    with pytest.raises(error, match=message):
        mixture_density_loss(outputs, points)
