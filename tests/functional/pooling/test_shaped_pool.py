"""Adaptive and fractional pooling against plain loops."""

import functools
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.pooling.adaptive import adaptive_avg_pool, adaptive_max_pool
from jaxnets.functional.pooling.fractional import fractional_max_pool
from tests.functional.pooling.setup import (
    assert_all_close,
    cotangent,
    value_and_pullback,
    with_ties,
)
from tests.oracles import pool as oracle


ADAPTIVE = {"max": adaptive_max_pool, "avg": adaptive_avg_pool}
settings = hypothesis.settings(max_examples=20, deadline=None, derandomize=True)
sizes_of_axes = st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple)


@settings
@hypothesis.given(
    kind=st.sampled_from(["max", "avg"]),
    sizes=sizes_of_axes,
    data=st.data(),
    seed=st.integers(0, 99),
)
def test_adaptive_pools_are_the_definition(kind, sizes, data, seed):
    shapes = st.tuples(*[st.integers(1, 8)] * len(sizes))
    out = data.draw(shapes)
    rng = np.random.default_rng(seed)
    shape = (2, *sizes, 2)
    ties = kind == "max" and data.draw(st.booleans())
    x = with_ties(rng, shape) if ties else rng.normal(size=shape)
    windows = list(oracle.adaptive_windows(sizes, out))
    *expected, _ = oracle.over_windows(kind, x, cotangent, lambda b, c: windows)
    pool = functools.partial(ADAPTIVE[kind], output_shape=out)
    assert_all_close(value_and_pullback(pool, x), expected)


# A rounded product with samples next to these may be on the wrong side of an integer.
SHARP = [0.0, 1 / 3, 0.2, 0.6, 2 / 3, 0.8, 1 / 7, 1.0]


@settings
@hypothesis.given(
    axes=st.lists(
        st.tuples(st.integers(1, 11), st.integers(1, 3)), min_size=1, max_size=2
    ),
    data=st.data(),
    ties=st.booleans(),
    seed=st.integers(0, 99),
)
def test_fractional_pooling_is_the_definition(axes, data, ties, seed):
    hypothesis.assume(all(k <= n for n, k in axes))
    sizes, window = zip(*axes, strict=True)
    out = tuple(data.draw(st.integers(1, n - k + 1)) for n, k in axes)
    rng = np.random.default_rng(seed)
    shape = (2, *sizes, 2)
    x = with_ties(rng, shape) if ties else rng.normal(size=shape)
    samples = rng.choice(np.asarray(SHARP, np.float32), size=(2, 2, len(sizes)))
    steps = rng.choice(np.asarray([-1, 0, 2], np.float32), size=samples.shape)
    samples = np.nextafter(samples, steps, dtype=np.float32)
    samples = np.clip(samples, 0, np.nextafter(np.float32(1), np.float32(0)))
    *expected, _ = oracle.over_windows(
        "max",
        x,
        cotangent,
        lambda b, c: list(oracle.fractional_windows(sizes, window, out, samples[b, c])),
    )
    pool = functools.partial(
        fractional_max_pool, window_shape=window, output_shape=out, samples=samples
    )
    assert_all_close(value_and_pullback(pool, x), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_windows_are_exact_for_samples_next_to_every_step(dtype):
    n, k, m = 61, 2, 38
    with jax.enable_x64(True):
        steps = (np.arange(n - k, dtype=np.float64) / (n - k)).astype(dtype)
        around = [np.nextafter(steps, dtype(1)), steps, np.nextafter(steps, dtype(0))]
        samples = np.concatenate(around)[:, None, None]
        # Elements are their own indices, so that maxima are the ends of windows.
        x = np.broadcast_to(
            np.arange(n, dtype=np.float64)[:, None], (len(samples), n, 1)
        )
        y = fractional_max_pool(x, (k,), (m,), samples=samples)
    for row, (sample,) in zip(y[..., 0], samples[:, 0], strict=True):
        windows = oracle.fractional_windows([n], [k], [m], [sample])
        ends = [elements[-1][0] for _, elements, _ in windows]
        np.testing.assert_array_equal(row, ends)


def test_a_key_draws_windows_for_each_channel():
    x = jnp.broadcast_to(jnp.arange(64.0)[:, None], (3, 64, 5))
    run = lambda seed: fractional_max_pool(x, 2, 45, key=jax.random.key(seed))
    y = run(0)
    assert y.shape == (3, 45, 5)
    np.testing.assert_array_equal(y, run(0))
    assert not np.array_equal(y, run(1))
    assert len(np.unique(np.asarray(y).transpose(0, 2, 1).reshape(15, 45), axis=0)) > 5
    assert set(np.unique(np.diff(y, axis=1))) == {1.0, 2.0}
    assert (y[:, -1] == 63).all()


def test_the_windows_of_pytorch():
    # Values of torch 2.13: adaptive_avg_pool1d and adaptive_max_pool1d of arange.
    x = jnp.arange(7.0)[:, None]
    np.testing.assert_allclose(adaptive_avg_pool(x, (3,))[:, 0], [1, 3, 5])
    np.testing.assert_allclose(
        adaptive_avg_pool(x, (5,))[:, 0], [0.5, 1.5, 3.0, 4.5, 5.5]
    )
    np.testing.assert_array_equal(
        adaptive_max_pool(x, (9,))[:, 0], [0, 1, 2, 3, 3, 4, 5, 6, 6]
    )


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_none_keeps_an_axis(kind, rng):
    x = rng.normal(size=(2, 5, 4, 3)).astype(np.float32)
    pool = ADAPTIVE[kind]
    np.testing.assert_array_equal(pool(x, (3, None)), pool(x, (3, 4)))
    np.testing.assert_array_equal(pool(x, [None, None]), x)
    assert pool(x, 3).shape == (2, 3, 3, 3)
    # Sizes that NumPy computed are not Python ints.
    three: Any = np.int64(3)
    assert pool(x[0], (three, None)).shape == (3, 4, 3)
    assert pool(x[:0], (3, None)).shape == (0, 3, 4, 3)
    assert pool(x[:, :0], (2, None)).shape == (2, 2, 4, 3)
    assert np.isfinite(pool(x[:, :0], (2, None))).all() == (kind == "avg")


def test_infinity_stays_in_its_windows():
    x = jnp.array([[np.inf], [1.0], [2.0], [3.0], [np.nan]])
    y = adaptive_avg_pool(x, (4,))[:, 0]
    np.testing.assert_array_equal(y, [np.inf, 1.5, 2.5, np.nan])


def test_integers_and_16_bit_numbers():
    x = np.array([[-3], [7], [-100], [5], [6]], np.int8)
    y = adaptive_max_pool(x, (3,))
    assert y.dtype == jnp.int8
    np.testing.assert_array_equal(y[:, 0], [7, 7, 6])
    z = fractional_max_pool(x, (2,), (3,), samples=np.zeros((1, 1), np.float32))
    assert z.dtype == jnp.int8
    np.testing.assert_array_equal(z[:, 0], [7, 7, 6])
    average = adaptive_avg_pool(jnp.full((1, 65, 65, 1), 1.01, jnp.bfloat16), 2)
    assert (average == jnp.bfloat16(1.01)).all()


@pytest.mark.parametrize("kind", ADAPTIVE)
@pytest.mark.parametrize(
    ("output_shape", "error", "message"),
    [
        ((2, 2, 2, 2), ValueError, r"`x` has shape .* `output_shape` is"),
        ((2, 0), ValueError, r"`output_shape` is \(2, 0\)"),
        ((None, 0), ValueError, r"`output_shape` is .*wanted 1 or more"),
        ((2, 1.5), TypeError, r"`output_shape` is \(2, 1.5\)"),
        ((None, "a"), TypeError, r"`output_shape` is \(None, 'a'\)"),
        (None, TypeError, "`output_shape` is None"),
        ("22", TypeError, "`output_shape` is '22'"),
    ],
)
def test_errors_of_adaptive_pools(kind, output_shape, error, message):
    with pytest.raises(error, match=message):
        ADAPTIVE[kind](jnp.ones((1, 5, 5, 1)), output_shape)


def test_errors_of_dtypes():
    x = jnp.ones((5, 1))
    with pytest.raises(TypeError, match="int32, which cannot represent averages"):
        adaptive_avg_pool(x.astype(jnp.int32), (2,))
    with pytest.raises(TypeError, match="complex64; wanted real numbers"):
        adaptive_max_pool(x.astype(jnp.complex64), (2,))
    with pytest.raises(TypeError, match="complex64; wanted real numbers"):
        fractional_max_pool(x.astype(jnp.complex64), (2,), (2,), key=jax.random.key(0))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(output_shape=5), ValueError, "axis 0 of 5 elements has 4 positions"),
        (dict(output_shape=0), ValueError, "`output_shape` is 0"),
        (dict(window_shape=0), ValueError, "`window_shape` is 0"),
        (dict(window_shape=6), ValueError, "has 0 positions for a window of 6"),
        (
            dict(output_shape=(2, 2, 2)),
            ValueError,
            "`x` has shape .* `output_shape` is",
        ),
        (
            dict(key=jnp.ones(2)),
            TypeError,
            "`key` is an array of dtype float32; wanted one JAX random key",
        ),
        (
            dict(key=jax.random.split(jax.random.key(0))),
            TypeError,
            "`key` is several keys",
        ),
        (dict(key=None), ValueError, "neither given; wanted exactly one"),
        (dict(samples=np.zeros((1, 1, 1))), ValueError, "both given; wanted exactly"),
        (
            dict(key=None, samples=np.zeros((1, 1, 2))),
            ValueError,
            r"`samples` has shape \(1, 1, 2\); wanted \(1, 1, 1\)",
        ),
        (
            dict(key=None, samples=np.ones((1, 1, 1))),
            ValueError,
            r"`samples` has values outside \[0, 1\)",
        ),
        (
            dict(key=None, samples=np.zeros((1, 1, 1), int)),
            TypeError,
            "`samples` has dtype int64; wanted floating-point",
        ),
    ],
)
def test_errors_of_fractional_pooling(options, error, message):
    defaults = dict(window_shape=2, output_shape=3, key=jax.random.key(0))
    with pytest.raises(error, match=message):
        fractional_max_pool(jnp.ones((1, 5, 1)), **(defaults | options))
