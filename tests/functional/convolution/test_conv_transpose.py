from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets
from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.transposed import conv_transpose
from tests.oracles import conv_transpose as oracle


def swapped(kernel, groups):
    """Swap the last two axes of each group's kernel."""
    parts = np.split(kernel, groups, axis=-1)
    return np.concatenate([np.swapaxes(part, -1, -2) for part in parts], axis=-1)


@st.composite
def problems(draw):
    """Draw shapes and options, and the crops and output sizes for the oracle."""
    ndim = draw(st.integers(1, 3))
    ints = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(ndim))
    sizes, window = ints(1, 3), ints(1, 4 if ndim < 3 else 2)
    strides, dilation = ints(1, 3), ints(1, 2)
    extra = ints(0, 2)
    reaches = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    full = [(n - 1) * s + r for n, s, r in zip(sizes, strides, reaches, strict=True)]
    scaled = [n * s for n, s in zip(sizes, strides, strict=True)]
    padding = draw(st.sampled_from(["SAME", "SAME_LOWER", "VALID", "pairs", "pairs"]))
    if padding.startswith("SAME"):
        totals = [max(r - s, 0) for r, s in zip(reaches, strides, strict=True)]
        low = [t // 2 if padding == "SAME" else t - t // 2 for t in totals]
        out = scaled
    elif padding == "VALID":
        low, out = [0] * ndim, full
    else:
        low = [draw(st.integers(0, min(4, n))) for n in full]
        high = [draw(st.integers(0, n - c)) for n, c in zip(full, low, strict=True)]
        padding = tuple(zip(low, high, strict=True))
        out = [n - c - h for n, c, h in zip(full, low, high, strict=True)]
        # At least one element has to remain.
        extra = tuple(max(e, 1 - n) for e, n in zip(extra, out, strict=True))
    out = tuple(n + e for n, e in zip(out, extra, strict=True))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    options = {
        "strides": strides,
        "padding": padding,
        "output_padding": extra,
        "kernel_dilation": dilation,
        "feature_group_count": groups,
        "implementation": draw(st.sampled_from([None, "phases", "library", "lax"])),
    }
    x_shape = (draw(st.integers(1, 2)), *sizes, groups * draw(st.integers(1, 2)))
    kernel_shape = (*window, x_shape[-1] // groups, groups * draw(st.integers(1, 2)))
    return x_shape, kernel_shape, options, (strides, tuple(low), dilation, groups), out


@settings(max_examples=35, deadline=None, derandomize=True)
@given(problem=problems())
def test_value_and_gradients_agree_with_plain_loops(problem):
    x_shape, kernel_shape, options, geometry, out = problem
    rng = np.random.default_rng(0)
    x, kernel, bias = (
        rng.normal(size=shape) for shape in (x_shape, kernel_shape, kernel_shape[-1:])
    )
    expected = oracle.conv_transpose(x, kernel, bias, out, *geometry)
    dy = rng.normal(size=expected.shape)

    @jax.jit
    def run(*arrays):
        y, pullback = jax.vjp(lambda *a: conv_transpose(*a, **options), *arrays)
        return y, pullback(jnp.asarray(dy))

    with jax.enable_x64(True):
        y, gradients = run(x, kernel, bias)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    adjoints = oracle.conv_transpose_adjoints(x, kernel, dy, *geometry)
    for gradient, adjoint in zip(gradients, adjoints, strict=True):
        np.testing.assert_allclose(gradient, adjoint, atol=1e-12)


@pytest.mark.parametrize("implementation", ["phases", "library", "lax"])
@pytest.mark.parametrize("padding", ["SAME", "SAME_LOWER", "VALID", ((2, 0), (1, 3))])
@pytest.mark.parametrize(("strides", "dilation"), [((2, 3), (1, 1)), ((1, 2), (2, 1))])
def test_it_is_the_transpose_of_conv(implementation, padding, strides, dilation, rng):
    options = {
        "strides": strides,
        "padding": padding,
        "kernel_dilation": dilation,
        "feature_group_count": 2,
    }
    kernel = rng.normal(size=(3, 4, 2, 6))
    with jax.enable_x64(True):
        x = rng.normal(size=(2, 4, 3, 4))
        y = conv_transpose(x, kernel, implementation=implementation, **options)
        a = rng.normal(size=y.shape)
        forward = conv(a, swapped(kernel, 2), **options)
    assert forward.shape == x.shape
    ours = np.vdot(a, np.asarray(y))
    np.testing.assert_allclose(np.vdot(np.asarray(forward), x), ours, rtol=1e-12)


def test_it_differs_from_lax_by_the_flipped_kernel(rng):
    x, kernel = rng.normal(size=(2, 5, 4, 3)), rng.normal(size=(3, 4, 3, 2))
    with jax.enable_x64(True):
        ours = conv_transpose(x, kernel, strides=2)
        flipped = jnp.asarray(np.flip(kernel, (0, 1)))
        plain = jax.lax.conv_transpose(jnp.asarray(x), flipped, (2, 2), "SAME")
    np.testing.assert_allclose(ours, plain, atol=1e-12)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choices are CPU's")
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_in_a_loop_keep_to_the_library(groups):
    def train(x, kernel):
        def step(kernel, _):
            run = lambda x, k: conv_transpose(
                x, k, strides=2, feature_group_count=groups
            )
            loss = lambda x, k: jnp.sum(run(x, k) ** 2)
            dx, dkernel = jax.grad(loss, (0, 1))(x, kernel)
            return kernel - dkernel, jnp.sum(dx)

        return jax.lax.scan(step, kernel, None, length=2)

    arrays = jnp.ones((4, 8, 8, 4)), jnp.ones((4, 4, 4 // groups, 6))
    program = jax.jit(train).lower(*arrays).compile().as_text() or ""
    assert "wrapped_convolution" not in program


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choices are CPU's")
def test_the_choice_on_cpus():
    x = jax.ShapeDtypeStruct((2, 8, 8, 4), "float32")
    plan = lambda k: jaxnets.plan(
        conv_transpose, x, jax.ShapeDtypeStruct((k, k, 4, 3), "float32"), strides=2
    )
    assert plan(4).implementation == "phases"
    assert plan(3).implementation == "library"
    assert "filled with zeros" in plan(3).others["phases"]


def test_padding_may_be_an_array():
    x, kernel = jnp.ones((1, 3, 4, 1)), jnp.ones((2, 2, 1, 1))
    padding: Any = np.array([1, 0])
    y = conv_transpose(x, kernel, padding=padding)
    np.testing.assert_array_equal(y, conv_transpose(x, kernel, padding=(1, 0)))


def test_batch_axes_and_dtypes():
    x, kernel = jnp.ones((0, 2, 3, 4)), jnp.ones((2, 4, 5))
    assert conv_transpose(x, kernel, strides=2).shape == (0, 2, 6, 5)
    assert conv_transpose(np.ones((3, 4), np.float32), kernel).shape == (3, 5)
    half = jnp.ones((1, 1, 512), jnp.bfloat16)
    y = conv_transpose(half, jnp.ones((2, 512, 1), jnp.bfloat16), padding="VALID")
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y.astype(np.float32).ravel(), [512, 512])


@pytest.mark.parametrize("implementation", ["phases", "library"])
def test_no_channels(implementation):
    x, kernel = jnp.ones((2, 4, 0)), jnp.ones((3, 0, 6))
    options = {"strides": 2, "implementation": implementation}
    run = lambda x, k: conv_transpose(x, k, feature_group_count=2, **options)
    y, pullback = jax.vjp(run, x, kernel)
    np.testing.assert_array_equal(y, np.zeros((2, 8, 6)))
    assert [g.shape for g in pullback(y)] == [x.shape, kernel.shape]


X, KERNEL = np.ones((2, 5, 5, 4), np.float32), np.ones((3, 3, 4, 6), np.float32)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "match"),
    [
        ((X[0, 0], KERNEL), {}, ValueError, r"`x` has shape \(5, 4\); wanted 3"),
        ((X[..., :3], KERNEL), {}, ValueError, "`x` has 3 channels and `kernel`"),
        (
            (X, KERNEL[:, :, :1]),
            {"feature_group_count": 4},
            ValueError,
            "`feature_group_count` is 4",
        ),
        ((X, KERNEL), {"padding": "CAUSAL"}, ValueError, "`padding` is 'CAUSAL'"),
        ((X, KERNEL), {"padding": "full"}, ValueError, "`padding` is 'full'"),
        ((X, KERNEL), {"padding": 4}, ValueError, "would have -1 elements on spatial"),
        ((X, KERNEL), {"output_padding": -1}, ValueError, "`output_padding` is -1"),
        ((X, KERNEL), {"kernel_dilation": -1}, ValueError, "`kernel_dilation` is -1"),
        ((X, KERNEL), {"strides": 0}, ValueError, "`strides` is 0"),
        ((X > 0, KERNEL > 0), {}, TypeError, "dtype bool; wanted numbers"),
        ((X, KERNEL), {"implementation": "cudnn"}, ValueError, "is 'cudnn'; wanted"),
        ((X, KERNEL, np.ones(3, np.float32)), {}, ValueError, r"wanted \(6,\)"),
    ],
)
def test_errors_say_what_is_wrong(arrays, options, error, match):
    with pytest.raises(error, match=match):
        conv_transpose(*arrays, **options)


def test_three_axes_have_gradients_under_coming_switches(coming_switches):
    """Planes are convolved in the derivative rule of a transposed convolution."""
    x, kernel = jnp.ones((1, 2, 2, 2, 1)), jnp.ones((1, 1, 2, 1, 1))
    loss = lambda x, kernel: jnp.sum(conv_transpose(x, kernel, padding="SAME"))
    found = jax.eval_shape(jax.grad(loss, (0, 1)), x, kernel)
    assert [each.shape for each in found] == [x.shape, kernel.shape]
