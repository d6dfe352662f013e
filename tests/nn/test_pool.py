"""The pooling layers pass all options on to their functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxnets
from jaxnets import functional as F
from jaxnets import nn


WINDOW = [
    (nn.MaxPool, F.max_pool),
    (nn.SumPool, F.sum_pool),
    (nn.AvgPool, F.avg_pool),
    (nn.LpPool, F.lp_pool),
    (nn.LogSumExpPool, F.logsumexp_pool),
    (nn.MaxPoolWithIndices, F.max_pool_with_indices),
]
ADAPTIVE = [
    (nn.AdaptiveMaxPool, F.adaptive_max_pool),
    (nn.AdaptiveAvgPool, F.adaptive_avg_pool),
]
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
    # One program for both, because compilation takes most of the time.
    pair = jax.jit(lambda x: (layer(x), function(x, (2, 2), **options)))(x)
    pairs = zip(*map(jax.tree.leaves, pair), strict=True)
    for actual, expected in pairs:
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("module", [nn.MaxPool, nn.SumPool, nn.AvgPool, nn.LpPool])
def test_an_implementation_can_be_forced(module, x):
    forced = module(2, implementation="reduce_window")
    assert jaxnets.plan(forced, x).implementation == "reduce_window"
    np.testing.assert_allclose(forced(x), module(2)(x), rtol=1e-5, atol=1e-6)


def test_an_unknown_implementation_is_refused(x):
    with pytest.raises(ValueError, match="`implementation` is 'fast'; wanted"):
        nn.LogSumExpPool(2, implementation="fast")(x)


@pytest.mark.parametrize(
    "options", [{"count_include_pad": False}, {"divisor": 3}, {"divisor": 2.5}]
)
def test_the_options_of_the_average(options, x):
    expected = F.avg_pool(x, 3, padding=1, **options)
    assert not np.array_equal(expected, F.avg_pool(x, 3, padding=1))
    np.testing.assert_array_equal(nn.AvgPool(3, padding=1, **options)(x), expected)


def test_the_exponent_of_the_norm(x):
    expected = F.lp_pool(x, 2, p=3, padding="SAME")
    np.testing.assert_array_equal(nn.LpPool(2, p=3, padding="SAME")(x), expected)


@pytest.mark.parametrize("output_shape", [3, [4, None]], ids=["int", "list"])
@pytest.mark.parametrize("module, function", ADAPTIVE)
def test_an_adaptive_pool_is_its_function(module, function, output_shape, x):
    layer = module(output_shape)
    assert isinstance(hash(nnx.split(layer)[0]), int)
    np.testing.assert_array_equal(layer(x), function(x, output_shape))


def test_unpooling_is_its_function(x):
    y, indices = nn.MaxPoolWithIndices([2, 2])(x)
    back = nn.MaxUnpool([7, 5])(y, indices)
    np.testing.assert_array_equal(back, F.max_unpool(y, indices, (7, 5)))
    np.testing.assert_array_equal(back[back != 0], x[back != 0])


def test_fractional_pooling_draws_anew_at_every_call(x):
    model = nnx.Sequential(nn.FractionalMaxPool([2, 1], [4, 3], rngs=nnx.Rngs(pool=0)))
    call = nnx.jit(lambda model, x: model(x))
    first = call(model, x)
    assert first.shape == (2, 4, 3, 3)
    assert any(not np.array_equal(first, call(model, x)) for _ in range(3))
    again = nn.FractionalMaxPool((2, 1), (4, 3), rngs=nnx.Rngs(pool=0))
    np.testing.assert_array_equal(first, again(x))
    assert isinstance(hash(nnx.split(model)[0]), int)


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


def test_errors_of_the_function_are_raised(x):
    with pytest.raises(ValueError, match="`window_shape`"):
        nn.MaxPool((2, 2, 2))(x[0])
