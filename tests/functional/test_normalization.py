"""Batch normalisation against plain loops, and against Flax, also where it is wrong."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.normalization import batch_norm
from tests.oracles import normalization as oracle


@functools.partial(jax.jit, static_argnames="epsilon")
def value_and_gradients(x, scale, bias, cotangents, epsilon):
    run = functools.partial(batch_norm, epsilon=epsilon)
    value, pullback = jax.vjp(run, x, scale, bias)
    return value, pullback(cotangents)


def assert_close(actual, expected, tolerance=2e-4):
    for a, e in zip(actual, expected, strict=True):
        scale = max(1.0, np.max(np.abs(e), initial=0.0))
        np.testing.assert_allclose(
            np.asarray(a, np.float64) / scale, e / scale, atol=tolerance
        )


@given(
    shape=st.lists(st.integers(1, 4), max_size=3),
    channels=st.integers(1, 3),
    epsilon=st.sampled_from([1e-2, 0.5]),
    mean=st.sampled_from([0.0, -3.0, 40.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, derandomize=True, deadline=None)
def test_values_and_gradients_are_those_of_the_loops(
    shape, channels, epsilon, mean, seed
):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    x, scale = draw(*shape, channels) + np.float32(mean), draw(channels)
    bias = draw(channels)
    cotangents = draw(*shape, channels), draw(channels), draw(channels)
    value, gradients = value_and_gradients(x, scale, bias, cotangents, epsilon)
    assert_close(value, oracle.batch_norm(x, scale, bias, epsilon))
    assert_close(gradients, oracle.gradients(x, scale, epsilon, cotangents), 1e-3)


def test_it_agrees_with_flax_where_flax_is_right(rng):
    x = rng.normal(size=(4, 3, 5, 2)).astype(np.float32)
    layer = nnx.BatchNorm(2, momentum=0.0, rngs=nnx.Rngs(0))
    expected = layer(x)
    y, mean, var = batch_norm(x, np.ones(2, np.float32), np.zeros(2, np.float32))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_allclose(mean, layer.mean[...], atol=1e-6)
    np.testing.assert_allclose(var, layer.var[...], atol=1e-5)


def test_it_is_right_where_a_large_mean_makes_flax_wrong(rng):
    x = (1e3 + rng.normal(size=(64, 8, 2))).astype(np.float32)
    cotangents = rng.normal(size=x.shape).astype(np.float32), np.zeros(2), np.zeros(2)
    cotangents = tuple(jnp.asarray(c, jnp.float32) for c in cotangents)
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    expected = oracle.batch_norm(x, ones, zeros, 1e-5)
    (y, mean, var), (dx, *_) = value_and_gradients(x, ones, zeros, cotangents, 1e-5)
    assert_close((y, mean, var), expected, 5e-4)
    layer = nnx.BatchNorm(2, momentum=0.0, rngs=nnx.Rngs(0))
    layer(x)
    assert np.max(np.abs(layer.var[...] / expected[2] - 1)) > 0.01
    wide = x.astype(np.float64)
    normal = (wide - wide.mean((0, 1))) / np.sqrt(wide.var((0, 1)) + 1e-5)
    g = np.asarray(cotangents[0], np.float64)
    slope = g - g.mean((0, 1)) - normal * (g * normal).mean((0, 1))
    np.testing.assert_allclose(dx, slope / np.sqrt(wide.var((0, 1))), atol=2e-3)


def test_bfloat16_is_summed_in_float32_and_rounded_once(rng):
    x = jnp.asarray(1.0 + 0.1 * rng.normal(size=(4096, 2)), jnp.bfloat16)
    y, mean, var = batch_norm(x)
    assert (y.dtype, mean.dtype, var.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    expected, *statistics = batch_norm(x.astype(jnp.float32))
    np.testing.assert_array_equal(y, expected.astype(jnp.bfloat16))
    np.testing.assert_allclose((mean, var), statistics, rtol=1e-5)


def test_statistics_over_a_mapped_axis_are_those_of_everything(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 4, 2)), jnp.float32)
    weight = jnp.asarray(rng.normal(size=x.shape), jnp.float32)
    whole = lambda x: jnp.sum(weight * batch_norm(x)[0])
    mapped = jax.vmap(lambda x: batch_norm(x, axis_name="i")[0], axis_name="i")
    in_parts = lambda x: jnp.sum(weight * mapped(x))
    for a, b in zip(
        jax.jit(jax.value_and_grad(in_parts))(x),
        jax.jit(jax.value_and_grad(whole))(x),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_empty_batch():
    y, mean, var = batch_norm(jnp.zeros((0, 4, 3)))
    assert y.shape == (0, 4, 3)
    np.testing.assert_array_equal((mean, var), np.zeros((2, 3)))
    assert jax.grad(lambda x: jnp.sum(batch_norm(x)[0]))(y).shape == (0, 4, 3)


X = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.ones((), np.float32),), {}, ValueError, r"`x` has shape \(\); wanted"),
        ((X.astype(np.int32),), {}, TypeError, "`x` has dtype int32; wanted floating"),
        ((X, np.ones(2, np.float32)), {}, ValueError, r"`scale` has shape \(2,\)"),
        ((X, None, np.ones(3, bool)), {}, TypeError, "`bias` has dtype bool"),
        ((X, None, None, X[0]), {}, ValueError, "`var` is missing; wanted both"),
        (
            (X, None, None, X[0], -(X[0] ** 2)),
            {},
            ValueError,
            "`var` holds -.*; wanted",
        ),
        ((X, None, None, None, X[0]), {}, ValueError, "`mean` is missing"),
        ((X,), {"epsilon": -1.0}, ValueError, "`epsilon` is -1.0; wanted 0 or more"),
        ((X,), {"epsilon": "1"}, TypeError, "`epsilon` is '1'; wanted a real number"),
        ((X,), {"epsilon": True}, TypeError, "`epsilon` is True"),
        ((X,), {"axis_name": "i"}, ValueError, "`axis_name` is 'i', but no mapped"),
    ],
)
def test_errors_name_the_argument(arguments, options, error, message):
    with pytest.raises(error, match=message):
        batch_norm(*arguments, **options)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="about XLA on CPUs")
def test_the_cotangent_of_the_convolution_before_it_is_computed_once():
    """The transpose for the kernel's gradient does not compute it again."""
    x, kernel = jnp.ones((8, 8, 8, 16)), jnp.ones((3, 3, 16, 16))

    @jax.jit
    def gradients(x, kernel, ct):
        run = lambda x, kernel: batch_norm(conv(x, kernel))[0]
        return jax.vjp(run, x, kernel)[1](ct)

    program = gradients.lower(x, kernel, x).compile().as_text() or ""
    moves = re.findall(r"%transpose_copy_fusion[.\d]* = \S+ fusion\((.*?)\)", program)
    assert len(moves) == 2  # the input and the cotangent
    assert not any("," in operands for operands in moves)
