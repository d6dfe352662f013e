import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.pooling.patches import fold, unfold
from jaxnets.functional.shared.windows import PADDING_MODES
from tests.oracles.conv import axis_reads


@st.composite
def problems(draw):
    ndim = draw(st.integers(1, 2))
    ints = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(ndim))
    window, strides, dilation = ints(1, 3), ints(1, 3), ints(1, 2)
    reaches = [d * (k - 1) for k, d in zip(window, dilation, strict=True)]
    sizes = tuple(r + e for r, e in zip(reaches, ints(1, 3), strict=True))
    pads = [ints(0, min(2, min(sizes) - 1)) for _ in range(2)]
    return sizes, window, strides, tuple(zip(*pads, strict=True)), dilation


@settings(max_examples=20, deadline=None, derandomize=True)
@given(problem=problems(), mode=st.sampled_from(PADDING_MODES))
def test_unfold_and_its_gradient_agree_with_plain_loops(problem, mode):
    sizes, window, strides, pairs, dilation = problem
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *sizes, 3))
    axes = [
        axis_reads(n, k, s, pair, 1, d, mode)
        for n, k, s, pair, d in zip(
            sizes, window, strides, pairs, dilation, strict=True
        )
    ]
    out = [positions for positions, _ in axes]
    expected = np.zeros((2, *out, *window, 3))
    dy, dx = rng.normal(size=expected.shape), np.zeros(x.shape)
    for combination in itertools.product(*(reads for _, reads in axes)):
        position, element, source = zip(*combination, strict=True)
        expected[:, *position, *element] = x[:, *source]
        dx[:, *source] += dy[:, *position, *element]
    shape = (2, *out, int(np.prod(window)), 3)
    options = {"strides": strides, "padding": pairs, "window_dilation": dilation}

    @jax.jit
    def run(x, dy):
        call = lambda x: unfold(x, window, padding_mode=mode, **options)
        y, pullback = jax.vjp(call, x)
        return y, *pullback(dy), fold(dy, sizes, window, **options)

    with jax.enable_x64(True):
        y, gradient, folded = run(x, dy.reshape(shape))
    np.testing.assert_array_equal(y, expected.reshape(shape))
    np.testing.assert_allclose(gradient, dx, atol=1e-12)
    if mode == "zeros":
        np.testing.assert_allclose(folded, dx, atol=1e-12)


def test_each_is_the_transpose_of_the_other(rng):
    options = {"strides": 2, "padding": "SAME", "window_dilation": (1, 2)}
    with jax.enable_x64(True):
        x = rng.normal(size=(7, 6, 2))
        patches = rng.normal(size=unfold(x, (3, 2), **options).shape)
        _, pullback = jax.vjp(lambda p: fold(p, (7, 6), (3, 2), **options), patches)
        (gradient,) = pullback(jnp.asarray(x))
        np.testing.assert_array_equal(gradient, unfold(x, (3, 2), **options))


def test_a_convolution_is_a_product_of_patches(rng):
    x = rng.normal(size=(2, 3, 5, 6, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 2, 2, 4)).astype(np.float32)
    patches = unfold(x, (3, 2), padding="SAME")
    y = jnp.einsum("...kc,kcf->...f", patches, kernel.reshape(6, 2, 4))
    np.testing.assert_allclose(y, conv(x, kernel), atol=1e-5)


def test_16_bit_sums_accumulate_in_float32():
    # In bfloat16 a sum of ones stops growing at 256.
    patches = jnp.ones((300, 20, 1), jnp.bfloat16)
    y = fold(15.0 * patches[:20], (20,), (20,), padding=((19, 0),))
    np.testing.assert_array_equal(y[0].astype(np.float32), 20 * 15)
    assert y.dtype == jnp.bfloat16


def test_no_gradient_scatters():
    run = jax.jit(jax.grad(lambda x: jnp.sum(unfold(x, (3, 3)) ** 2)))
    program = run.lower(jnp.ones((2, 8, 8, 3))).compile().as_text() or ""
    assert "scatter(" not in program


def test_empty_batches():
    patches = unfold(jnp.ones((0, 2, 5, 3)), (2,))
    assert patches.shape == (0, 2, 4, 2, 3)
    assert fold(patches, (5,), (2,)).shape == (0, 2, 5, 3)


X = np.ones((2, 5, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: unfold(X, (0,)), ValueError, "`window_shape` is"),
        (lambda: unfold(X, (6,)), ValueError, "spans 6 elements of spatial axis 0"),
        (lambda: unfold(X[0, 0], (2,)), ValueError, r"`x` has shape \(4,\) and"),
        (lambda: unfold(X, (2,), window_dilation=-1), ValueError, "`window_dilation`"),
        (lambda: unfold(X, (2,), padding="full"), ValueError, "`padding` is 'full'"),
        (
            lambda: fold(np.ones((2, 3, 2, 4), np.float32), (5,), (2,)),
            ValueError,
            r"`patches` has shape \(2, 3, 2, 4\); wanted \(\*batch, 4, 2, channels\)",
        ),
        (lambda: fold(X, (5, 5), (2,)), ValueError, "`window_shape` is"),
    ],
)
def test_errors_say_what_is_wrong(call, error, match):
    with pytest.raises(error, match=match):
        call()
