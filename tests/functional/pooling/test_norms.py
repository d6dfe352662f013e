"""Lp and log-sum-exp pooling against plain loops."""

import functools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.pooling.norms import logsumexp_pool, lp_pool
from tests.functional.pooling.setup import (
    assert_all_close,
    cotangent,
    oracle_options,
    problems,
    value_and_pullback,
)
from tests.oracles import pool as oracle


settings = hypothesis.settings(max_examples=20, deadline=None, derandomize=True)


@settings
@hypothesis.given(
    problem=problems(),
    p=st.sampled_from([0.5, 1, 1.5, 2, 3, 4, math.inf]),
    zeros=st.booleans(),
    seed=st.integers(0, 99),
)
def test_lp_pool_is_the_definition(problem, p, zeros, seed):
    sizes, window, options = problem
    x = np.random.default_rng(seed).normal(size=(2, *sizes, 2))
    if zeros:
        x = np.where(np.abs(x) < 0.7, 0.0, x)
    pool = functools.partial(lp_pool, window_shape=window, p=p, **options)
    translated = oracle_options(options)
    expected = oracle.pool("lp", x, cotangent, window, p=p, **translated)
    assert_all_close(value_and_pullback(pool, x), expected)


@settings
@hypothesis.given(
    problem=problems(),
    scale=st.sampled_from([1.0, 100.0, 1e30]),
    infinities=st.booleans(),
    seed=st.integers(0, 99),
)
def test_logsumexp_pool_is_the_definition(problem, scale, infinities, seed):
    sizes, window, options = problem
    rng = np.random.default_rng(seed)
    x = (scale * rng.normal(size=(2, *sizes, 2))).astype(np.float32)
    if infinities:
        extremes = rng.choice([-np.inf, np.inf], p=[0.9, 0.1], size=x.shape)
        x = np.where(rng.random(x.shape) < 0.5, extremes, x)
    pool = functools.partial(logsumexp_pool, window_shape=window, **options)
    translated = oracle_options(options)
    expected = oracle.pool("logsumexp", x, cotangent, window, **translated)
    (y, dx), (expected_y, expected_dx) = value_and_pullback(pool, x), expected
    np.testing.assert_allclose(y, expected_y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("window", "stride", "dilation"), [(12, 1, 1), (12, 5, 2), (64, 64, 1), (11, 3, 2)]
)
def test_large_windows(window, stride, dilation, rng):
    x = rng.normal(size=(1, dilation * (window - 1) + 80, 2))
    options = dict(strides=(stride,), padding=2, ceil_mode=True)
    pool = functools.partial(
        logsumexp_pool, window_shape=(window,), window_dilation=dilation, **options
    )
    expected = oracle.pool(
        "logsumexp", x, cotangent, (window,), dilation=(dilation,), **options
    )
    assert_all_close(value_and_pullback(pool, x), expected)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
def test_zeros_give_no_nan_at_any_order(p):
    pool = lambda x: jnp.sum(lp_pool(x, (2,), p=p))
    x = jnp.array([[0.0], [0.0], [0.0], [4.0]])
    assert float(pool(x)) == 4.0
    gradient, hessian = jax.jit(lambda x: (jax.grad(pool)(x), jax.hessian(pool)(x)))(x)
    np.testing.assert_allclose(gradient[:, 0], [0.0, 0.0, 0.0, 1.0], rtol=1e-6)
    assert np.isfinite(hessian).all()
    # The second derivative of the Euclidean norm by a zero element is 1 / norm.
    assert hessian[2, 0, 2, 0] == (0.25 if p == 2 else 0.0)


def test_logsumexp_of_a_window_without_numbers_has_a_gradient_of_zero():
    pool = lambda x: jnp.sum(jnp.where(jnp.isfinite(y := lse(x)), y, 0))
    lse = lambda x: logsumexp_pool(x, (2,), padding=((2, 0),))
    x = jnp.array([[-jnp.inf], [-jnp.inf], [-jnp.inf], [1.0], [jnp.inf], [2.0]])
    np.testing.assert_array_equal(lse(x)[:, 0], [-np.inf, -np.inf, 1.0, np.inf])
    back, hessian = jax.jit(lambda x: (jax.grad(pool)(x), jax.hessian(pool)(x)))(x)
    np.testing.assert_array_equal(back[:, 0], [0, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(hessian, np.zeros((6, 1, 6, 1)))
    _, pullback = jax.vjp(lse, x)
    ones = pullback(jnp.ones((4, 1)))[0]
    np.testing.assert_array_equal(ones[:, 0], [0, 0, 0, 1, 0, 0])
    assert np.isnan(lse(x.at[3].set(jnp.nan))[2, 0])


def test_logsumexp_lies_between_the_maximum_and_the_sum():
    x = jnp.array([[88.0], [89.0], [-1e4], [-1e4 + 1]])
    y = logsumexp_pool(x, (2,))
    np.testing.assert_allclose(y[:, 0], [89.313262, -9998.686738], rtol=1e-6)


@pytest.mark.parametrize("pool", [lp_pool, logsumexp_pool])
def test_batch_axes_of_any_number(pool, rng):
    x = rng.normal(size=(2, 3, 5, 4, 2)).astype(np.float32)
    run = functools.partial(pool, window_shape=(2, 3), strides=1)
    y = run(x)
    assert y.shape == (2, 3, 4, 2, 2)
    np.testing.assert_allclose(y[1, 2], run(x[1, 2]), rtol=1e-6)
    assert run(x[:0]).shape == (0, 3, 4, 2, 2)
    assert jax.grad(lambda x: jnp.sum(run(x)))(x[:0]).shape == (0, 3, 5, 4, 2)


def test_16_bit_numbers_are_summed_in_float32():
    x = jnp.full((1, 32, 32, 1), 8.0, jnp.float16)
    assert lp_pool(x, 32).item() == 256.0
    assert logsumexp_pool(x.astype(jnp.bfloat16), 32).item() == jnp.bfloat16(14.9315)
    total = lambda x: jnp.sum(lp_pool(x, 32, p=1))
    np.testing.assert_array_equal(jax.grad(total)(x), jnp.ones_like(x))


def test_names_force_and_others_raise(rng):
    x = rng.normal(size=(1, 6, 6, 1)).astype(np.float32)
    names = [(2.0, name) for name in ("shifts", "reshape", "native")]
    for p, name in [*names, (math.inf, "winners")]:
        np.testing.assert_allclose(
            lp_pool(x, 2, p=p, implementation=name), lp_pool(x, 2, p=p), rtol=1e-6
        )
    with pytest.raises(ValueError, match="cannot run here: windows overlap"):
        lp_pool(x, 2, strides=1, implementation="reshape")
    with pytest.raises(ValueError, match="`implementation` is 'fast'; wanted None"):
        logsumexp_pool(x, 2, implementation="fast")


@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (0, ValueError, "`p` is 0; wanted a number greater than 0"),
        (-1.0, ValueError, "`p` is -1.0"),
        (math.nan, ValueError, "`p` is nan"),
        ("2", TypeError, "`p` is '2'; wanted a real number"),
        (True, TypeError, "`p` is True"),
        (None, TypeError, "`p` is None"),
    ],
)
def test_errors_of_the_exponent(p, error, message):
    with pytest.raises(error, match=message):
        lp_pool(jnp.ones((4, 1)), (2,), p=p)


@pytest.mark.parametrize("pool", [lp_pool, logsumexp_pool])
def test_errors_name_the_argument(pool):
    for dtype in (jnp.int32, jnp.bool_, jnp.complex64):
        with pytest.raises(TypeError, match="wanted real floating-point numbers"):
            pool(jnp.ones((4, 1), dtype), (2,))
    with pytest.raises(ValueError, match="5 elements of spatial axis 0"):
        pool(jnp.ones((4, 1)), (5,))
    with pytest.raises(ValueError, match="`padding_mode` is 'wrap'"):
        pool(jnp.ones((4, 1)), (2,), padding_mode="wrap")
    with pytest.raises(ValueError, match=r"pass a sequence if `x` has no"):
        pool(jnp.ones((4, 1)), 2)
