"""The pooling modules pass each of their options on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn


WINDOW = [(nn.MaxPool, F.max_pool), (nn.SumPool, F.sum_pool), (nn.AvgPool, F.avg_pool)]
GLOBAL = [
    (nn.GlobalMaxPool, F.global_max_pool),
    (nn.GlobalAvgPool, F.global_avg_pool),
    (nn.GlobalSumPool, F.global_sum_pool),
]
OPTIONS = {
    "default": {},
    "padding": {"padding": [(1, 0), (0, 1)], "strides": (1, 2)},
    "mode": {"padding": "SAME", "padding_mode": "replicate"},
    "ceil": {"ceil_mode": True, "window_dilation": 2},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 7, 5, 3)).astype(np.float32)


@every_option
@pytest.mark.parametrize("module, function", WINDOW)
def test_a_window_pool_is_its_function(module, function, options, x):
    layer = module((2, 2), **options)
    # One program for both: compiling is what takes the time.
    pair = jax.jit(lambda x: (layer(x), function(x, (2, 2), **options)))(x)
    np.testing.assert_allclose(*pair, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"count_include_pad": False}, {"divisor": 3}, {"divisor": 2.5}]
)
def test_the_options_of_the_average(options, x):
    expected = F.avg_pool(x, 3, padding=1, **options)
    assert not np.array_equal(expected, F.avg_pool(x, 3, padding=1))
    np.testing.assert_array_equal(nn.AvgPool(3, padding=1, **options)(x), expected)


@pytest.mark.parametrize("options", [{}, {"keepdims": True}, {"spatial_ndim": 1}])
@pytest.mark.parametrize("module, function", GLOBAL)
def test_a_global_pool_is_its_function(module, function, options, x):
    expected = function(x, **options)
    np.testing.assert_array_equal(module(**options)(x), expected)


def test_flatten_keeps_the_batch_axis():
    x = jnp.arange(30.0).reshape(5, 3, 2)
    np.testing.assert_array_equal(nn.Flatten()(x), x.reshape(5, 6))
    assert isinstance(nn.Flatten()(np.ones((5, 3, 2))), jax.Array)
    assert nn.Flatten()(jnp.ones(4)).shape == (4, 1)
    assert nn.Flatten()(jnp.ones((0, 3, 2))).shape == (0, 6)


def test_pools_stand_in_a_sequence_of_layers(x):
    model = nnx.Sequential(
        nn.MaxPool([2, 2], padding=[(0, 1), (1, 0)]), nn.AvgPool(2), nn.Flatten()
    )
    assert isinstance(hash(nnx.split(model)[0]), int)
    jitted = nnx.jit(lambda model, x: model(x))(model, x)
    pooled = F.max_pool(x, 2, padding=((0, 1), (1, 0)))
    np.testing.assert_allclose(jitted, F.avg_pool(pooled, 2).reshape(2, -1), rtol=1e-6)


def test_errors_of_the_function_come_through(x):
    with pytest.raises(ValueError, match="`window_shape`"):
        nn.MaxPool((2, 2, 2))(x[0])
