import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
from jaxnets.functional.convolution.depthwise import depthwise_conv, separable_conv
from tests.functional.convolution.setup import geometries
from tests.oracles import conv as oracle


@st.composite
def problems(draw):
    window, sizes, options, geometry = draw(geometries(gaps_up_to=1, strides_up_to=2))
    shape = (draw(st.integers(1, 2)), *sizes, draw(st.integers(1, 3)))
    kernel_shape = (*window, shape[-1], draw(st.integers(1, 3)))
    return shape, kernel_shape, options, geometry


@settings(max_examples=20, deadline=None, derandomize=True)
@given(problem=problems())
def test_value_and_gradients_agree_with_plain_loops(problem):
    shape, kernel_shape, options, geometry = problem
    *window, channels, multiplier = kernel_shape
    features = channels * multiplier
    rng = np.random.default_rng(0)
    x, kernel, bias = (
        rng.normal(size=size) for size in (shape, kernel_shape, (features,))
    )
    grouped = kernel.reshape((*window, 1, features))
    expected = oracle.conv(x, grouped, bias, geometry, channels)
    dy = rng.normal(size=expected.shape)

    @jax.jit
    def run(*arrays):
        y, pullback = jax.vjp(lambda *a: depthwise_conv(*a, **options), *arrays)
        return y, pullback(jnp.asarray(dy))

    with jax.enable_x64(True):
        y, gradients = run(x, kernel, bias)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    adjoints = oracle.conv_adjoints(x, grouped, dy, geometry, channels)
    for gradient, adjoint in zip(gradients, adjoints, strict=True):
        np.testing.assert_allclose(np.ravel(gradient), np.ravel(adjoint), atol=1e-12)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(problem=problems(), features=st.integers(1, 4))
def test_separable_is_depthwise_then_pointwise(problem, features):
    shape, kernel_shape, options, geometry = problem
    *window, channels, multiplier = kernel_shape
    between_features = channels * multiplier
    rng = np.random.default_rng(0)
    points_shape = (*(1 for _ in window), between_features, features)
    x, depthwise, pointwise, bias = (
        rng.normal(size=s) for s in (shape, kernel_shape, points_shape, (features,))
    )
    grouped = depthwise.reshape((*window, 1, between_features))
    no_bias = np.zeros(between_features)
    between = oracle.conv(x, grouped, no_bias, geometry, channels)
    mix = pointwise.reshape(between_features, features)
    dy = rng.normal(size=(*between.shape[:-1], features))

    @jax.jit
    def run(*arrays):
        y, pullback = jax.vjp(lambda *a: separable_conv(*a, **options), *arrays)
        return y, pullback(jnp.asarray(dy))

    with jax.enable_x64(True):
        y, gradients = run(x, depthwise, pointwise, bias)
    np.testing.assert_allclose(y, between @ mix + bias, atol=1e-12)
    rows, d_rows = between.reshape(-1, between_features), dy.reshape(-1, features)
    d_mix, d_bias = rows.T @ d_rows, d_rows.sum(0)
    first = oracle.conv_adjoints(x, grouped, dy @ mix.T, geometry, channels)[:2]
    for gradient, adjoint in zip(gradients, (*first, d_mix, d_bias), strict=True):
        np.testing.assert_allclose(np.ravel(gradient), np.ravel(adjoint), atol=1e-12)


def test_plan_names_both_convolutions():
    arrays = [
        jax.ShapeDtypeStruct(shape, "float32")
        for shape in ((2, 8, 8, 3), (3, 3, 3, 2), (1, 1, 6, 4))
    ]
    names = [c.implementation for c in jaxnets.plan(separable_conv, *arrays).choices]
    on_cpu = jax.default_backend() == "cpu"
    assert names == (["shifts", "product"] if on_cpu else ["lax", "lax"])


def test_dtypes_and_empty_batches():
    half = jnp.ones((0, 5, 3), jnp.bfloat16)
    assert depthwise_conv(half, jnp.ones((3, 3, 2), jnp.bfloat16)).shape == (0, 5, 6)
    none, first = jnp.ones((2, 5, 0)), jnp.ones((3, 0, 2))
    assert depthwise_conv(none, first).shape == (2, 5, 0)
    y = separable_conv(none, first, jnp.ones((1, 0, 4)), jnp.ones(4))
    np.testing.assert_array_equal(y, np.ones((2, 5, 4)))
    x = np.full((4, 2), 100, np.int8)
    kernel = np.full((2, 2, 1), 2, np.int8)
    y = depthwise_conv(x, kernel, padding="VALID")
    assert y.dtype == jnp.int32
    np.testing.assert_array_equal(y, np.full((3, 2), 400))
    # If the second kernel is wider, the first convolution is not rounded either.
    x, first = np.full((1, 1), 1.001, np.float32), np.ones((1, 1, 1), np.float16)
    with jax.numpy_dtype_promotion("standard"):
        y = separable_conv(x, first, np.ones((1, 1, 1), np.float32))
    np.testing.assert_allclose(y, x)


IMAGES = np.ones((2, 5, 5, 4), np.float32)
KERNEL, POINTS = np.ones((3, 3, 4, 2), np.float32), np.ones((1, 1, 8, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: depthwise_conv(IMAGES, KERNEL[:, :, :3]),
            ValueError,
            r"`kernel` has shape \(3, 3, 3, 2\) and `x` .* the C channels of `x`",
        ),
        (lambda: depthwise_conv(IMAGES, KERNEL[0, 0]), ValueError, "a window of 1"),
        (lambda: depthwise_conv(IMAGES, KERNEL[:0]), ValueError, "a window of 1"),
        (
            lambda: depthwise_conv(IMAGES, KERNEL, np.ones(4, np.float32)),
            ValueError,
            r"`bias` has shape \(4,\); wanted \(8,\)",
        ),
        (
            lambda: depthwise_conv(IMAGES, KERNEL, kernel_dilation=-1),
            ValueError,
            "`kernel_dilation` is -1",
        ),
        (
            lambda: depthwise_conv(IMAGES > 0, KERNEL > 0),
            TypeError,
            "dtype bool; wanted numbers",
        ),
        (
            lambda: separable_conv(IMAGES, KERNEL, POINTS[:, :, :4]),
            ValueError,
            r"`pointwise_kernel` has shape \(1, 1, 4, 3\)",
        ),
        (
            lambda: separable_conv(IMAGES, KERNEL, POINTS[0]),
            ValueError,
            "a 1 for each spatial axis",
        ),
        (
            lambda: separable_conv(IMAGES, KERNEL[:, :, :3], POINTS[:, :, :6]),
            ValueError,
            "the C channels of `x`",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, error, match):
    with pytest.raises(error, match=match):
        call()
