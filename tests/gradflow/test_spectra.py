"""Spectra against NumPy: a dense SVD, Gram-Schmidt, the eigenvalues of a Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from jaxnets.gradflow import jacobian_spectrum, lyapunov_spectrum, sharpness
from tests.oracles import gradflow as oracle


KEY = jax.random.key(3)


def tanh_layer(w, b):
    return lambda x: jnp.tanh(x @ w + b)


@given(
    n=st.integers(1, 9),
    m=st.integers(1, 9),
    rank=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=4, deadline=None, derandomize=True)
def test_small_jacobians_are_exact(n, m, rank, seed):
    generator = np.random.default_rng(seed)
    w = generator.normal(size=(n, m)).astype(np.float32)
    x, b = generator.normal(size=n).astype("f"), generator.normal(size=m).astype("f")
    rank = min(rank, n, m)
    dense = jax.jacobian(tanh_layer(w, b))(x)
    expected = np.linalg.svd(np.asarray(dense, np.float64), compute_uv=False)[:rank]
    spectrum = jax.jit(
        lambda x: jacobian_spectrum(tanh_layer(w, b), x, rank=rank, key=KEY)
    )
    actual = spectrum(x)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_large_jacobian_converges_from_below(rng):
    w = rng.normal(size=(150, 130), scale=0.1).astype(np.float32)
    x = rng.normal(size=150).astype(np.float32)
    fun = tanh_layer(w, np.float32(0.1))
    dense = np.asarray(jax.jacobian(fun)(x), np.float64)
    expected = np.linalg.svd(dense, compute_uv=False)[:5]
    spectrum = jax.jit(lambda x: jacobian_spectrum(fun, x, rank=5, key=KEY))(x)
    np.testing.assert_allclose(spectrum, expected, rtol=2e-2)
    assert np.all(np.asarray(spectrum) <= expected * (1 + 1e-4))
    np.testing.assert_allclose(spectrum[0], expected[0], rtol=1e-3)


def test_equal_singular_values_are_all_found():
    fun = lambda x: 3.0 * x
    run = jax.jit(lambda x: jacobian_spectrum(fun, x, rank=4, key=KEY))
    spectrum = run(jnp.ones(40))
    np.testing.assert_allclose(spectrum, 3.0, rtol=1e-5)


def test_a_jacobian_of_low_rank_ends_in_zeros():
    fun = lambda x: jnp.stack([jnp.sum(x), 2.0 * jnp.sum(x), 0.0 * x[0]])
    run = jax.jit(lambda x: jacobian_spectrum(fun, x, rank=3, key=KEY))
    spectrum = run(jnp.ones(7))
    np.testing.assert_allclose(spectrum, [np.sqrt(35), 0, 0], atol=1e-5)


def test_pytrees_and_half_precision(rng):
    w = rng.normal(size=(6, 6)).astype(np.float32)
    fun = lambda p: (jnp.asarray(w, p["x"].dtype) @ p["x"] * p["count"], p["y"] * 2)
    p = {"x": jnp.ones(6), "y": jnp.ones(2), "count": jnp.int32(1)}
    with jax.numpy_dtype_promotion("standard"):
        run = jax.jit(lambda p: jacobian_spectrum(fun, p, rank=8, key=KEY))
        full = run(p)
        half = {**p, "x": p["x"].astype(jnp.bfloat16)}
        rounded = run(half)
    expected = np.append(np.linalg.svd(w, compute_uv=False), [2.0, 2.0])
    np.testing.assert_allclose(full, np.sort(expected)[::-1], rtol=1e-4, atol=1e-5)
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, full, rtol=0.05, atol=0.05)


def test_lyapunov_against_gram_schmidt(rng):
    w_hh = rng.normal(size=(6, 6), scale=0.6).astype(np.float32)
    inputs = rng.normal(size=(800, 6), scale=0.3).astype(np.float32)
    h = np.zeros(6, np.float32)

    def step(h, u_t):
        h = jnp.tanh(h @ w_hh + u_t)
        return h, h

    actual = jax.jit(lambda h, xs: lyapunov_spectrum(step, h, xs, count=3))(h, inputs)
    jacobians = oracle.tanh_rnn_jacobians(w_hh.astype(np.float64), h, inputs)
    # The initial directions differ, an effect of order 1 / T.
    expected = oracle.lyapunov_spectrum(jacobians, 3)
    np.testing.assert_allclose(actual, expected, atol=0.01)


def test_all_exponents_sum_to_the_mean_log_determinant(rng):
    w_hh = rng.normal(size=(4, 4)).astype(np.float32)
    inputs = rng.normal(size=(30, 4)).astype(np.float32)
    h = {"h": np.zeros(4, np.float32), "count": np.int32(0)}

    def step(state, u_t):
        h = jnp.tanh(state["h"] @ w_hh + u_t)
        return {"h": h, "count": state["count"] + 1}, None

    run = jax.jit(lambda h, xs: lyapunov_spectrum(step, h, xs, count=4))
    exponents = run(h, inputs)
    jacobians = oracle.tanh_rnn_jacobians(w_hh.astype(np.float64), h["h"], inputs)
    determinants = [np.log(abs(np.linalg.det(j))) for j in jacobians]
    np.testing.assert_allclose(exponents.sum(), np.mean(determinants), rtol=1e-3)


def test_a_chaotic_network_has_a_positive_exponent(rng):
    """A random tanh network without input is chaotic above gain 1."""
    w = rng.normal(size=(64, 64)).astype(np.float32) / 8
    h = 0.1 * rng.normal(size=64).astype(np.float32)

    def first(gain):
        step = lambda h, x: (jnp.tanh(gain * h @ w), None)
        return lyapunov_spectrum(step, h, jnp.zeros(300), count=1)[0]

    ordered, chaotic = jax.jit(jax.vmap(first))(jnp.array([0.8, 2.0]))
    assert ordered < -0.1
    assert 0.05 < chaotic < 0.25


def test_errors_name_the_argument():
    step = lambda h, x: (h, None)
    with pytest.raises(ValueError, match=r"`rank` is 4; wanted 1 to 3"):
        jacobian_spectrum(lambda x: x, jnp.ones(3), rank=4, key=KEY)
    with pytest.raises(ValueError, match=r"`iterations` is -1"):
        jacobian_spectrum(lambda x: x, jnp.ones(3), rank=1, key=KEY, iterations=-1)
    with pytest.raises(ValueError, match=r"`count` is 0; wanted 1 to 3"):
        lyapunov_spectrum(step, jnp.ones(3), jnp.ones(5), count=0)


def test_no_step_and_large_singular_values(rng):
    step = lambda h, x: (h, None)
    with pytest.raises(ValueError, match=r"`xs` has the shapes \(0, 3\); wanted"):
        lyapunov_spectrum(step, jnp.ones(3), jnp.ones((0, 3)), count=1)
    w = rng.normal(size=(6, 5)).astype(np.float32)
    spectrum = lambda w: jacobian_spectrum(
        lambda x: w @ x, jnp.ones(5), rank=3, key=jax.random.key(0)
    )
    expected = np.linalg.svd(w.astype(float), compute_uv=False)[:3]
    actual = jax.jit(spectrum)(w * np.float32(1e20))
    np.testing.assert_allclose(actual, 1e20 * expected, rtol=1e-4)


@pytest.mark.parametrize("shift", [3.0, -3.0, -9.0])
def test_sharpness_is_the_largest_eigenvalue_and_not_that_of_the_largest_size(shift):
    generator = np.random.default_rng(0)
    half = generator.normal(size=(7, 7))
    hessian = half + half.T + shift * np.eye(7)
    # The parameters are two arrays, of which one is no number of the loss's.
    params = {"a": jnp.ones((2, 3)), "b": jnp.ones(()), "count": jnp.arange(2)}

    def loss(params):
        x = jnp.concatenate([params["a"].ravel(), params["b"][None]])
        return 0.5 * x @ jnp.asarray(hessian, jnp.float32) @ x + jnp.sum(x)

    exact = np.linalg.eigvalsh(hessian)[-1]
    found = sharpness(loss, params, iterations=200)
    np.testing.assert_allclose(found, exact, rtol=1e-3)


def test_the_sharpness_of_a_network_is_that_of_its_hessian():
    w = np.random.default_rng(1).normal(size=(4, 3)).astype("f")
    x, y = jnp.asarray(w[:, :2] + 1.0), jnp.asarray(w[:, 2])
    loss = lambda p, x: jnp.mean((jnp.tanh(x @ p["w"]) @ p["v"] - y) ** 2)
    params = {"w": jnp.asarray(w[:2]), "v": jnp.asarray(w[2])}
    flat, unravel = ravel_pytree(params)
    hessian = jax.hessian(lambda p: loss(unravel(p), x))(flat)
    exact = np.linalg.eigvalsh(np.asarray(hessian, np.float64))[-1]
    found = sharpness(loss, params, x, iterations=60)
    np.testing.assert_allclose(found, exact, rtol=1e-3)
    with pytest.raises(ValueError, match="`params` has no floating-point array"):
        sharpness(lambda p: 0.0, {"a": jnp.arange(3)})
    with pytest.raises(ValueError, match="`iterations` is 0"):
        sharpness(loss, params, x, iterations=0)
