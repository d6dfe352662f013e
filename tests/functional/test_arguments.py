"""Arrays, whole numbers and switches of a wrong type are errors that name them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxnets import functional as F
from jaxnets import nn
from jaxnets.arguments import as_array, as_count, as_switch
from jaxnets.functional.convolution.arguments import checked_precision


WORDS = np.full((2, 5, 4), "word")
X, KERNEL = np.ones((2, 5, 4), np.float32), np.ones((3, 4, 4), np.float32)
POINTS = np.ones((1, 16, 6), np.float32)
WINDOWS = (F.max_pool, F.sum_pool, F.avg_pool, F.lp_pool, F.logsumexp_pool)
SHAPES = (F.adaptive_max_pool, F.adaptive_avg_pool, F.unfold, F.max_pool_with_indices)
SPACES = (F.global_max_pool, F.global_avg_pool, F.global_sum_pool, F.batch_norm)
# Calls with strings instead of one array, and the name of that array.
CALLS: list[tuple[Any, str]] = [
    *[(lambda f=f: f(WORDS, KERNEL), "x") for f in (F.conv, F.conv_transpose)],
    *[(lambda f=f: f(X, WORDS), "kernel") for f in (F.conv, F.conv_transpose)],
    *[(lambda f=f: f(X, KERNEL, WORDS), "bias") for f in (F.conv, F.conv_transpose)],
    (lambda: F.depthwise_conv(WORDS, KERNEL), "x"),
    (lambda: F.depthwise_conv(X, WORDS), "kernel"),
    (lambda: F.separable_conv(X, WORDS, POINTS), "depthwise_kernel"),
    (lambda: F.separable_conv(X, KERNEL, WORDS), "pointwise_kernel"),
    (lambda: F.separable_conv(X, KERNEL, POINTS, WORDS), "bias"),
    (lambda: F.causal_conv(WORDS, KERNEL), "x"),
    (lambda: F.causal_conv(X, KERNEL, state=WORDS), "state"),
    *[(lambda f=f: f(WORDS, (2,)), "x") for f in (*WINDOWS, *SHAPES)],
    *[(lambda f=f: f(WORDS), "x") for f in SPACES],
    (lambda: F.batch_norm(X, WORDS), "scale"),
    (lambda: F.fold(WORDS, (5,), (2,)), "patches"),
    (lambda: F.max_unpool(WORDS, np.ones((2, 5, 4), int), (9,)), "y"),
    (lambda: F.fractional_max_pool(WORDS, (2,), (3,)), "x"),
]


@pytest.mark.parametrize(("call", "name"), CALLS)
def test_strings_are_not_numbers(call, name):
    message = f"`{name}` is an array of dtype <U4; wanted an array of numbers"
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    "function",
    [
        lambda **options: F.conv(X, KERNEL, **options),
        lambda **options: F.conv_transpose(X, KERNEL, **options),
        lambda **options: F.depthwise_conv(X, KERNEL, **options),
        lambda **options: F.separable_conv(X, KERNEL, POINTS, **options),
        lambda **options: F.causal_conv(X, KERNEL, **options),
        lambda **options: nn.Conv(4, 4, (3,), rngs=nnx.Rngs(0), **options)(X),
        lambda **options: nn.ConvTranspose(4, 4, (3,), rngs=nnx.Rngs(0), **options)(X),
    ],
)
def test_an_unknown_precision_is_an_error(function):
    message = "`precision` is 'exact'; wanted None, 'default', 'high', 'highest'"
    with pytest.raises(ValueError, match=message):
        function(precision="exact")
    function(precision="highest")


def test_a_precision_is_what_jax_accepts():
    preset = lax.DotAlgorithmPreset.F32_F32_F32
    assert checked_precision(None) is None
    assert checked_precision(preset) is checked_precision("F32_F32_F32") is preset
    high = lax.Precision.HIGH
    assert checked_precision("tensorfloat32") == (high, high)
    assert checked_precision([high, "default"]) == (high, lax.Precision.DEFAULT)
    for value in (2, ("high",), ("high", 1), ["high", None]):
        with pytest.raises(TypeError, match=r"`precision` is .*; wanted None"):
            checked_precision(value)
    with pytest.raises(ValueError, match=r"`precision` is \('high', 'exact'\)"):
        checked_precision(("high", "exact"))


@pytest.mark.parametrize(
    "value", [None, "word", np.array([object()]), jax.random.key(0)]
)
def test_an_array_holds_numbers(value):
    with pytest.raises(TypeError, match=r"`x` is .*; wanted an array of numbers"):
        as_array(value, "x")


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "function",
    [
        functools.partial(F.conv, kernel=KERNEL),
        *[functools.partial(f, window_shape=(2,)) for f in (*WINDOWS, F.unfold)],
        functools.partial(F.avg_pool, window_shape=(2,), count_include_pad=False),
        functools.partial(F.max_pool_with_indices, window_shape=(2,)),
    ],
)
def test_a_padding_mode_is_a_string(function):
    with pytest.raises(ValueError, match=r"`padding_mode` is array\(.*; wanted one of"):
        function(X, padding_mode=np.array(["zeros", "zeros"]))


@pytest.mark.usefixtures("unchecked_annotations")
def test_an_axis_name_is_a_string():
    with pytest.raises(TypeError, match="`axis_name` is 3; wanted the name of an axis"):
        F.batch_norm(X, axis_name=3)  # pyright: ignore[reportArgumentType]


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "complex64"])
def test_crelu_takes_real_floating_point(dtype):
    with pytest.raises(TypeError, match=f"`x` has dtype {dtype}; wanted real floating"):
        F.crelu(np.ones(2, dtype))
    with pytest.raises(ValueError, match=r"`x` has shape \(\); wanted \(\*batch, chan"):
        F.crelu(np.ones((), np.float32))


@pytest.mark.parametrize("value", [True, np.bool_(True), 2.0, "2", None, (2,)])
def test_a_count_is_an_int(value):
    with pytest.raises(TypeError, match=r"`n` is .*; wanted an int"):
        as_count(value, "n")


def test_a_count_has_a_minimum():
    assert as_count(jnp.asarray(3), "n") == 3
    with pytest.raises(ValueError, match="`n` is 0; wanted 1 or more"):
        as_count(0, "n")


@pytest.mark.parametrize("value", [1, "yes", None, 0.0])
def test_a_switch_is_a_bool(value):
    with pytest.raises(TypeError, match=r"`ceil_mode` is .*; wanted True or False"):
        as_switch(value, "ceil_mode")
