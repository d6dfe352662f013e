"""Each convolutional layer computes its function with its own parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.nnx import initializers

import jaxnets
from jaxnets import functional as F
from jaxnets import nn


BIASED = initializers.normal(1.0)


def conv(**options: Any):
    return nn.Conv(4, 6, (3, 2), rngs=nnx.Rngs(1), **options)


def conv_transpose(**options: Any):
    return nn.ConvTranspose(4, 6, (3, 2), bias_init=BIASED, rngs=nnx.Rngs(1), **options)


def depthwise(**options: Any):
    return nn.DepthwiseConv(
        4, (3, 2), multiplier=3, bias_init=BIASED, rngs=nnx.Rngs(1), **options
    )


def separable(**options: Any):
    return nn.SeparableConv(
        4, 6, (3, 2), multiplier=2, bias_init=BIASED, rngs=nnx.Rngs(1), **options
    )


def causal(**options: Any):
    return nn.CausalConv(4, 6, 3, bias_init=BIASED, rngs=nnx.Rngs(1), **options)


LAYERS = {
    "transpose": (conv_transpose, F.conv_transpose, {}),
    "transpose-options": (
        conv_transpose,
        F.conv_transpose,
        {
            "strides": [2, 1],
            "padding": [(1, 0), (2, 1)],
            "output_padding": (0, 1),
            "kernel_dilation": (1, 2),
            "feature_group_count": 2,
        },
    ),
    "depthwise": (depthwise, F.depthwise_conv, {}),
    "depthwise-options": (
        depthwise,
        F.depthwise_conv,
        {
            "strides": (2, 1),
            "padding": [1, (0, 2)],
            "padding_mode": "reflect",
            "kernel_dilation": [1, 2],
        },
    ),
    "separable": (separable, F.separable_conv, {}),
    "separable-options": (
        separable,
        F.separable_conv,
        {"strides": 2, "padding": "SAME_LOWER", "padding_mode": "circular"},
    ),
    "causal": (causal, F.causal_conv, {}),
    "causal-options": (
        causal,
        F.causal_conv,
        {"kernel_dilation": 2, "feature_group_count": 2},
    ),
}
CONVOLUTIONS = [conv, conv_transpose, depthwise, separable, causal]
KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")
every_layer = pytest.mark.parametrize(
    ("make", "function", "options"), LAYERS.values(), ids=LAYERS
)


def weights(layer):
    """Kernels and bias in the order of the function's arguments."""
    held = [getattr(layer, name, None) for name in (*KERNELS, "bias")]
    return [param[...] for param in held if param is not None]


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 7, 5, 4)).astype(np.float32)


@every_layer
def test_it_is_the_function_with_its_own_parameters(make, function, options, x):
    layer = make(**options)
    expected = function(x, *weights(layer), **options)
    actual = nnx.jit(lambda layer, x: layer(x))(layer, x)
    close = lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)
    jax.tree.map(close, actual, expected)
    assert hash(nnx.split(layer)[0]) == hash(nnx.split(make(**options))[0])


@pytest.mark.parametrize("make", CONVOLUTIONS)
def test_an_implementation_can_be_forced(make, x):
    forced = make(implementation="lax")
    assert jaxnets.plan(forced, x).implementation == "lax"
    close = lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)
    jax.tree.map(close, forced(x), make()(x))
    with pytest.raises(ValueError, match="`implementation` is 'fast'; wanted"):
        make(implementation="fast")(x)


@pytest.mark.parametrize("make", CONVOLUTIONS)
def test_arguments_for_the_parameters_are_not_attributes(make):
    layer = make(kernel_init=BIASED) if make is not separable else make()
    assert not hasattr(layer, "kernel_init")
    assert not hasattr(layer, "use_bias")


@pytest.mark.parametrize("make", [conv_transpose, depthwise, separable, causal])
def test_without_bias_and_with_a_dtype(make, x):
    layer = make(use_bias=False, dtype=jnp.bfloat16, param_dtype=jnp.float16)
    assert layer.bias is None
    assert {w.dtype for w in weights(layer)} == {jnp.dtype(jnp.float16)}
    leaves = jax.tree.leaves(layer(x))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.bfloat16)}


def test_shapes_of_the_parameters():
    shapes = lambda layer: [w.shape for w in weights(layer)]
    assert shapes(conv_transpose(feature_group_count=2)) == [(3, 2, 2, 6), (6,)]
    assert shapes(depthwise()) == [(3, 2, 4, 3), (12,)]
    assert shapes(separable()) == [(3, 2, 4, 2), (1, 1, 8, 6), (6,)]
    assert shapes(causal(feature_group_count=2)) == [(3, 2, 6), (6,)]


@pytest.mark.parametrize(
    "kernel",
    [
        lambda rngs: nn.DepthwiseConv(256, (5, 5), multiplier=2, rngs=rngs).kernel,
        lambda rngs: nn.SeparableConv(256, 8, (5, 5), rngs=rngs).depthwise_kernel,
    ],
)
def test_the_fan_in_of_a_depthwise_kernel_is_one_window(kernel):
    drawn = kernel(nnx.Rngs(jax.random.key(0, impl="rbg")))[...]
    np.testing.assert_allclose(jnp.var(drawn) * 25, 1.0, rtol=0.1)


def test_a_transposed_layer_is_that_of_flax_with_the_kernel_flipped(x):
    ours = conv_transpose(strides=2)
    theirs = nnx.ConvTranspose(4, 6, (3, 2), strides=2, rngs=nnx.Rngs(2))
    assert ours.bias is not None and theirs.bias is not None
    theirs.kernel[...] = jnp.flip(ours.kernel[...], (0, 1))
    theirs.bias[...] = ours.bias[...]
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_a_causal_layer_continues_from_its_state(rng):
    layer = causal(kernel_dilation=2)
    x = rng.normal(size=(2, 9, 4)).astype(np.float32)
    last, whole = layer(x)
    state, first = layer(x[:, :4])
    state, second = layer(x[:, 4:], state)
    together = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(together, whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(state, last)


@pytest.mark.parametrize(
    "make",
    [
        lambda size: nn.ConvTranspose(1, 4, size, rngs=nnx.Rngs(0)),
        lambda size: nn.DepthwiseConv(4, size, rngs=nnx.Rngs(0)),
        lambda size: nn.SeparableConv(1, 4, size, rngs=nnx.Rngs(0)),
    ],
)
def test_an_int_kernel_size_is_refused(make):
    with pytest.raises(TypeError, match=r"`kernel_size` is the int 3; .*\(3, 3\)"):
        make(3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda r: nn.Conv(4, 6, (), rngs=r), TypeError, r"`kernel_size` is \(\)"),
        (lambda r: nn.Conv(4, 6, (3, 0), rngs=r), ValueError, "`kernel_size` is .*0"),
        (lambda r: nn.Conv(4, 6, (3, True), rngs=r), TypeError, "`kernel_size` is"),
        (lambda r: nn.Conv(-4, 6, (3,), rngs=r), ValueError, "`in_features` is -4"),
        (
            lambda r: nn.ConvTranspose(4, True, (3,), rngs=r),
            TypeError,
            "`out_features` is True; wanted an int",
        ),
        (
            lambda r: nn.DepthwiseConv(4, (3,), multiplier=-1, rngs=r),
            ValueError,
            "`multiplier` is -1",
        ),
        (
            lambda r: nn.SeparableConv(4, -6, (3,), rngs=r),
            ValueError,
            "`out_features` is -6",
        ),
        (lambda r: nn.CausalConv(4, 6, 0, rngs=r), ValueError, "`kernel_size` is 0"),
        (lambda r: nn.BatchNorm(-1, rngs=r), ValueError, "`num_features` is -1"),
    ],
)
def test_sizes_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make(nnx.Rngs(0))


@pytest.mark.parametrize("make", [conv_transpose, causal])
def test_groups_divide_both_channels(make):
    with pytest.raises(ValueError, match=r"`feature_group_count` is 3; .* = 4 .* = 6"):
        make(feature_group_count=3)
