"""`nn.BatchNorm`: modes, running statistics, and agreement with Flax's module."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn


@pytest.fixture
def x(rng):
    return (2.0 + rng.normal(size=(4, 3, 5, 2))).astype(np.float32)


def test_the_same_as_flax_in_both_modes(x):
    ours = nn.BatchNorm(2, rngs=nnx.Rngs(0))
    flax = nnx.BatchNorm(2, momentum=0.9, rngs=nnx.Rngs(0))
    for _ in range(2):
        np.testing.assert_allclose(ours(x), flax(x), atol=1e-5)
    for layer in (ours, flax):
        layer.eval()
    np.testing.assert_allclose(ours(x), flax(x), atol=1e-5)
    names = lambda layer: set(nnx.to_pure_dict(nnx.state(layer)))
    assert names(ours) == names(flax)
    for actual, expected in ((ours.mean, flax.mean), (ours.var, flax.var)):
        assert isinstance(actual, nnx.BatchStat)
        np.testing.assert_allclose(actual[...], expected[...], rtol=1e-5)


def test_evaluation_leaves_the_statistics_and_reads_them(x):
    layer = nn.BatchNorm(2, rngs=nnx.Rngs(0))
    layer(x)
    before = np.asarray(layer.mean[...])
    np.testing.assert_array_equal(layer(x, use_running_average=True), view(layer)(x))
    np.testing.assert_array_equal(layer.mean[...], before)
    layer(x)
    assert not np.array_equal(layer.mean[...], before)


def view(layer):
    return nnx.view(layer, use_running_average=True)


def test_half_precision_keeps_float32_statistics(x):
    layer = nn.BatchNorm(2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    for mode in (layer.train, layer.eval):
        mode()
        assert layer(x).dtype == jnp.bfloat16
    assert layer.mean[...].dtype == layer.var[...].dtype == jnp.float32


def test_without_scale_and_bias(x):
    layer = nn.BatchNorm(2, use_scale=False, use_bias=False, rngs=nnx.Rngs(0))
    assert layer.scale is None
    assert layer.bias is None
    np.testing.assert_allclose(np.mean(layer(x), (0, 1, 2)), 0.0, atol=1e-5)
