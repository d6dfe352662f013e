"""Global pooling against NumPy."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.functional.pooling.global_pool import (
    global_avg_pool,
    global_max_pool,
    global_sum_pool,
)
from jaxnets.functional.pooling.window import max_pool


ALL = {
    "max": (global_max_pool, np.max),
    "avg": (global_avg_pool, np.mean),
    "sum": (global_sum_pool, np.sum),
}
every_pool = pytest.mark.parametrize(("pool", "reduce"), ALL.values(), ids=ALL)


@every_pool
def test_values_and_shapes(pool, reduce, rng):
    x = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
    expected = reduce(x.astype(np.float64), axis=(1, 2))
    np.testing.assert_allclose(pool(x), expected, rtol=1e-5)
    kept = pool(x, keepdims=True)
    assert kept.shape == (2, 1, 1, 4)
    np.testing.assert_array_equal(kept[:, 0, 0], pool(x))
    time = pool(x, spatial_ndim=1)
    np.testing.assert_allclose(time, reduce(x.astype(np.float64), axis=2), rtol=1e-5)
    single = pool(x[0], spatial_ndim=2)
    np.testing.assert_allclose(single, expected[0], rtol=1e-5)
    assert pool(x[:0]).shape == (0, 4)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    batch=st.lists(st.integers(1, 3), max_size=2),
    spatial=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    channels=st.integers(1, 3),
    keepdims=st.booleans(),
)
@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_agree_with_a_loop(
    name, batch, spatial, channels, keepdims
):
    pool, reduce = ALL[name]
    rng = np.random.default_rng(0)
    # Few different values, so that maxima are equal.
    x = rng.integers(-2, 2, size=(*batch, *spatial, channels)).astype(np.float32)
    axes = tuple(range(len(batch), len(batch) + len(spatial)))
    options = {"spatial_ndim": len(spatial), "keepdims": keepdims}
    y, pullback = jax.vjp(lambda x: pool(x, **options), jnp.asarray(x))
    expected = reduce(x.astype(np.float64), axis=axes, keepdims=keepdims)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
    g = rng.normal(size=y.shape).astype(np.float32)
    rows = x.reshape(-1, math.prod(spatial), channels)
    shares = np.zeros_like(rows)
    for row, share, g_row in zip(rows, shares, g.reshape(-1, channels), strict=True):
        for c in range(channels):
            if name == "max":
                share[np.argmax(row[:, c]), c] = g_row[c]
            else:
                share[:, c] = g_row[c] / (len(row) if name == "avg" else 1)
    gradient = pullback(jnp.asarray(g))[0]
    np.testing.assert_allclose(gradient, shares.reshape(x.shape), rtol=1e-6)


@pytest.mark.parametrize(
    "values", [[1.0, 3.0, 3.0], [-np.inf] * 3, [0, np.nan, np.nan]]
)
def test_equal_maxima_and_nans_as_in_max_pool(values):
    x = jnp.asarray(values, jnp.float32).reshape(1, 3, 1)
    for derivative in (jax.grad, jax.jacfwd):
        whole = jax.jit(derivative(lambda x: jnp.sum(global_max_pool(x))))(x)
        window = jax.jit(derivative(lambda x: jnp.sum(max_pool(x, 3))))(x)
        np.testing.assert_array_equal(whole, window)
        assert jnp.count_nonzero(whole) == 1


def test_the_gradient_scatters_nothing():
    gradient = jax.grad(lambda x: jnp.sum(global_max_pool(x)))
    text = jax.jit(gradient).lower(jnp.ones((1, 8, 8, 2))).compile().as_text()
    assert not re.search(r" (select-and-)?scatter\(", text or " scatter(")


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_a_large_16_bit_average_is_right(dtype):
    x = jnp.full((1, 64, 64, 1), 1.01, dtype)
    y = global_avg_pool(x)
    assert y.dtype == dtype
    assert y.item() == x[0, 0, 0, 0]
    assert global_sum_pool(x[:, :32, :32]).item() == dtype(1024 * float(x[0, 0, 0, 0]))


def test_integers():
    x = np.array([[[3], [93], [100]]], np.int8)
    assert global_max_pool(x).dtype == jnp.int8
    assert global_sum_pool(x).dtype == jnp.int32
    assert global_sum_pool(x.astype(np.uint16)).dtype == jnp.uint32
    assert global_max_pool(x).item() == 100
    assert global_sum_pool(x).item() == 196
    assert global_max_pool(x > 4).item() is True


def test_an_empty_axis_gives_the_identity():
    x = jnp.zeros((2, 0, 3))
    assert (global_max_pool(x) == -jnp.inf).all()
    assert (global_avg_pool(x) == 0).all()
    assert (global_sum_pool(x) == 0).all()
    assert jax.grad(lambda x: jnp.sum(global_max_pool(x)))(x).shape == (2, 0, 3)


def test_errors_name_the_argument():
    x = jnp.ones((3, 2))
    with pytest.raises(ValueError, match=r"`x` has shape \(3, 2\); wanted a batch"):
        global_avg_pool(x)
    with pytest.raises(ValueError, match=r"`spatial_ndim` is 2; wanted 2 spatial"):
        global_max_pool(x, spatial_ndim=2)
    with pytest.raises(ValueError, match=r"`spatial_ndim` is 0"):
        global_sum_pool(x, spatial_ndim=0)
    with pytest.raises(TypeError, match=r"int32, which cannot represent averages"):
        global_avg_pool(x.astype(jnp.int32), spatial_ndim=1)
    with pytest.raises(TypeError, match=r"dtype bool; wanted numbers"):
        global_sum_pool(x > 0, spatial_ndim=1)
    with pytest.raises(TypeError, match=r"complex64; wanted real numbers"):
        global_max_pool(x.astype(jnp.complex64), spatial_ndim=1)
