"""`nn.Conv` computes `F.conv` with its own kernel and bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.nnx import initializers

from jaxnets import functional as F
from jaxnets import nn


OPTIONS = {
    "plain": {},
    "strides": {"strides": (2, 1)},
    "list-of-pads": {"padding": [(1, 0), (2, 1)], "strides": [1, 2]},
    "padding": {"padding": "VALID"},
    "mode": {"padding": 1, "padding_mode": "reflect"},
    "dilation": {"kernel_dilation": (1, 2)},
    "groups": {"feature_group_count": 2},
    "input-dilation": {"input_dilation": [2, 1], "precision": "highest"},
    "wide-result": {"preferred_element_type": jnp.float32},
}


def make(**options):
    biased = initializers.normal(1.0)
    return nn.Conv(4, 6, (3, 2), bias_init=biased, rngs=nnx.Rngs(1), **options)


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 7, 5, 4)).astype(np.float32)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_it_is_the_function_with_its_own_parameters(options, x):
    layer = make(**options)
    assert layer.bias is not None
    expected = F.conv(x, layer.kernel[...], layer.bias[...], **options)
    jitted = nnx.jit(lambda layer, x: layer(x))(layer, x)
    np.testing.assert_allclose(jitted, expected, rtol=1e-5, atol=1e-5)
    assert hash(nnx.split(layer)[0]) == hash(nnx.split(make(**options))[0])
    channels = 4 // options.get("feature_group_count", 1)
    assert layer.kernel.shape == (3, 2, channels, 6)
    assert layer.bias.shape == (6,)


def test_without_bias(x):
    layer = make(use_bias=False)
    assert layer.bias is None
    np.testing.assert_array_equal(layer(x), F.conv(x, layer.kernel[...]))


@pytest.mark.parametrize("strides, padding", [(1, "VALID"), (2, "SAME")])
def test_it_is_flax_conv_given_the_same_kernel(strides, padding, x):
    ours = make(strides=strides, padding=padding)
    theirs = nnx.Conv(4, 6, (3, 2), strides=strides, padding=padding, rngs=nnx.Rngs(2))
    assert ours.bias is not None and theirs.bias is not None
    theirs.kernel[...] = ours.kernel[...]
    theirs.bias[...] = ours.bias[...]
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_dtype_is_for_the_computation_and_param_dtype_for_the_parameters(x):
    layer = make(dtype=jnp.bfloat16)
    assert layer.bias is not None
    assert layer.kernel.dtype == layer.bias.dtype == jnp.float32
    y = layer(x)
    assert y.dtype == jnp.bfloat16
    expected = F.conv(x, layer.kernel[...], layer.bias[...])
    np.testing.assert_allclose(y.astype(np.float32), expected, rtol=0.05, atol=0.05)
    half = make(param_dtype=jnp.float16)
    assert half.bias is not None
    assert half.kernel.dtype == half.bias.dtype == jnp.float16
    assert half(x.astype(np.float16)).dtype == jnp.float16
    assert half(x).dtype == jnp.float32


def test_dtype_without_a_bias(x):
    assert make(use_bias=False, dtype=jnp.bfloat16)(x).dtype == jnp.bfloat16


def test_the_given_initialisers_are_used():
    layer = make(kernel_init=initializers.constant(3.0))
    np.testing.assert_array_equal(layer.kernel[...], 3.0)
    layer = nn.Conv(4, 6, (3, 3), rngs=nnx.Rngs(0))
    assert layer.bias is not None
    np.testing.assert_array_equal(layer.bias[...], 0.0)


def test_the_default_kernel_has_variance_one_over_fan_in():
    rngs = nnx.Rngs(jax.random.key(0, impl="rbg"))
    kernel = nn.Conv(16, 64, (5, 5), rngs=rngs).kernel[...]
    np.testing.assert_allclose(jnp.var(kernel) * 16 * 25, 1.0, rtol=0.05)


def test_one_spatial_axis(rng):
    layer = nn.Conv(3, 2, (3,), padding="CAUSAL", rngs=nnx.Rngs(0))
    x = rng.normal(size=(5, 3)).astype(np.float32)
    changed = layer(np.concatenate([x[:3], 9.0 * x[3:]]))
    np.testing.assert_allclose(changed[:3], layer(x)[:3], rtol=1e-6)


def test_an_int_kernel_size_is_refused():
    with pytest.raises(TypeError, match=r"`kernel_size` is the int 3; .*\(3, 3\)"):
        nn.Conv(1, 4, 3, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("groups", [0, 3, 4])
def test_groups_divide_both_channels(groups):
    wanted = f"`feature_group_count` is {groups}; .*`in_features` = 4 .* = 6"
    with pytest.raises(ValueError, match=wanted):
        make(feature_group_count=groups)


def test_errors_of_the_function_are_raised(x):
    with pytest.raises(ValueError, match="`padding_mode`"):
        make(padding_mode="mirror")(x)
    with pytest.raises(ValueError, match="`x` has 3 channels"):
        make()(x[..., :3])


@pytest.mark.parametrize("dtype", ["float33", None, 3])
def test_a_dtype_is_refused_by_name(dtype, x):
    with pytest.raises(TypeError, match=f"`param_dtype` is {dtype!r}; wanted a dtype"):
        make(param_dtype=dtype)
    if dtype is not None:
        with pytest.raises(TypeError, match=f"`dtype` is {dtype!r}; wanted a dtype"):
            make(dtype=dtype)(x)
