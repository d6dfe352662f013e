import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.functional.convolution.general import conv
from tests.functional.convolution.setup import geometries
from tests.oracles import conv as oracle


@st.composite
def problems(draw):
    """Draw shapes and options, for the function and for the oracle."""
    window, sizes, options, geometry = draw(geometries(gaps_up_to=2))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    options |= {
        "feature_group_count": groups,
        # None runs each of the other implementations where it is the preferred one.
        "implementation": draw(st.sampled_from([None, None, None, "library", "lax"])),
    }
    x_shape = (draw(st.integers(1, 2)), *sizes, groups * draw(st.integers(1, 2)))
    features = groups * draw(st.integers(1, 2))
    kernel_shape = (*window, x_shape[-1] // groups, features)
    return x_shape, kernel_shape, options, geometry


@settings(max_examples=50, deadline=None, derandomize=True)
@given(problem=problems())
def test_value_and_gradients_agree_with_plain_loops(problem):
    x_shape, kernel_shape, options, geometry = problem
    rng = np.random.default_rng(0)
    x, kernel, bias = (
        rng.normal(size=shape) for shape in (x_shape, kernel_shape, kernel_shape[-1:])
    )
    groups = options["feature_group_count"]
    expected = oracle.conv(x, kernel, bias, geometry, groups)
    dy = rng.normal(size=expected.shape)

    @jax.jit
    def run(*arrays):
        y, pullback = jax.vjp(lambda *a: conv(*a, **options), *arrays)
        return y, pullback(jnp.asarray(dy))

    with jax.enable_x64(True):
        y, gradients = run(x, kernel, bias)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    adjoints = oracle.conv_adjoints(x, kernel, dy, geometry, groups)
    for gradient, adjoint in zip(gradients, adjoints, strict=True):
        np.testing.assert_allclose(gradient, adjoint, atol=1e-12)


@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch, rng):
    x = rng.normal(size=(*batch, 5, 4, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 2, 2, 3)).astype(np.float32)
    y = conv(x, kernel)
    rows = conv(x.reshape(int(np.prod(batch)), 5, 4, 2), kernel)
    assert y.shape == (*batch, 5, 4, 3)
    np.testing.assert_array_equal(y, rows.reshape(y.shape))


@pytest.mark.parametrize(
    ("implementation", "ndim", "groups"),
    [("library", 1, 1), ("lax", 1, 1), (None, 1, 2), (None, 3, 1)],
)
@pytest.mark.parametrize("channels, features", [(0, 4), (2, 0)])
def test_no_channels_or_no_features(implementation, ndim, groups, channels, features):
    x = jnp.ones((2, *[4] * ndim, channels))
    kernel = jnp.ones((*[3] * ndim, channels // groups, features))
    options = {"feature_group_count": groups, "implementation": implementation}
    total = lambda x, k: jnp.sum(conv(x, k, **options))
    value, gradients = jax.jit(jax.value_and_grad(total, (0, 1)))(x, kernel)
    assert value == 0
    assert [g.shape for g in gradients] == [x.shape, kernel.shape]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=["bf16", "f16"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("in_loop", [False, True], ids=["top", "scan"])
def test_16_bit_sums_accumulate_in_float32(dtype, groups, in_loop):
    # In 16 bits these sums would stop growing at 256 or 2048.
    x = jnp.ones((1, 64, 64, 2), dtype)
    kernel = jnp.full((64, 64, 2 // groups, 2), 1.0 / 64, dtype)

    def value_and_gradient(x):
        total = lambda k: conv(x, k, padding="VALID", feature_group_count=groups).sum()
        padded = jnp.pad(x, ((0, 0), (32, 31), (32, 31), (0, 0)))
        reduced = lambda k: conv(padded, k[:1, :1], feature_group_count=groups).sum()
        return total(kernel), jax.grad(reduced)(kernel)[0, 0]

    if in_loop:
        body = lambda x, _: (x, value_and_gradient(x))
        run = lambda x: jax.tree.map(
            lambda a: a[-1], jax.lax.scan(body, x, None, length=2)[1]
        )
    else:
        run = value_and_gradient
    value, gradient = jax.jit(run)(x)
    assert value.dtype == gradient.dtype == dtype
    assert float(value) == 2 * 64 * 64 / 64 * (2 // groups)
    np.testing.assert_array_equal(np.asarray(gradient, np.float32), 64 * 64)


def test_dtypes_promote_and_preferred_element_type_wins():
    x, kernel = np.ones((5, 2), np.int8), np.full((3, 2, 1), 100, np.int8)
    wide = conv(x, kernel)
    assert wide.dtype == jnp.int32
    np.testing.assert_array_equal(wide.ravel(), [400, 600, 600, 600, 400])
    narrow = conv(x, kernel, preferred_element_type=jnp.int8)
    np.testing.assert_array_equal(narrow, np.asarray(wide).astype(np.int8))
    with jax.numpy_dtype_promotion("standard"):
        assert conv(x, kernel.astype(np.float32)).dtype == jnp.float32
        assert conv(x, kernel, np.ones(1, np.float16)).dtype == jnp.float16
        half = jnp.ones((5, 2), jnp.bfloat16)
        assert conv(half, kernel.astype(np.float32)).dtype == jnp.float32
    # NumPy's float64 becomes float32 as everywhere in JAX.
    assert conv(np.ones((5, 2)), np.ones((3, 2, 1))).dtype == jnp.float32


@pytest.mark.parametrize("dtype", ["int4", "uint4"])
def test_integers_of_four_bits_are_summed_in_32(dtype):
    y = conv(jnp.full((5, 2), 7, dtype), jnp.full((3, 2, 1), 7, dtype))
    assert y.dtype == ("int32" if dtype == "int4" else "uint32")
    np.testing.assert_array_equal(y[:, 0], [196, 294, 294, 294, 196])


IMAGES, KERNEL = np.ones((2, 5, 5, 4), np.float32), np.ones((3, 3, 4, 6), np.float32)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "match"),
    [
        ((IMAGES, KERNEL[0, 0]), {}, ValueError, r"`kernel` has shape \(4, 6\); want"),
        ((IMAGES, KERNEL[:0]), {}, ValueError, "a window of 1 or more"),
        ((IMAGES[0, 0], KERNEL), {}, ValueError, r"`x` has shape \(5, 4\); wanted 3"),
        ((IMAGES[..., :3], KERNEL), {}, ValueError, "`x` has 3 channels and `kernel`"),
        ((IMAGES, KERNEL), {"feature_group_count": 2}, ValueError, "4 in each of 2"),
        (
            (IMAGES, KERNEL[:, :, :1]),
            {"feature_group_count": 4},
            ValueError,
            "`feature_group_count` is 4 and .* gives 6 features; wanted a multiple",
        ),
        (
            (IMAGES, KERNEL),
            {"feature_group_count": 0},
            ValueError,
            "`feature_group_count` is 0; wanted 1 or more",
        ),
        (
            (IMAGES, KERNEL, np.ones((1, 6), np.float32)),
            {},
            ValueError,
            r"`bias` has shape \(1, 6\); wanted \(6,\)",
        ),
        ((IMAGES > 0, KERNEL > 0), {}, TypeError, "dtype bool; wanted numbers"),
        ((IMAGES, KERNEL), {"strides": 0}, ValueError, "`strides` is 0"),
        ((IMAGES, KERNEL), {"strides": 1.5}, TypeError, "`strides` is 1.5"),
        (
            (IMAGES, KERNEL),
            {"kernel_dilation": (1, 2, 3)},
            ValueError,
            "`kernel_dilation` is",
        ),
        (
            (IMAGES, KERNEL),
            {"input_dilation": -1},
            ValueError,
            "`input_dilation` is -1",
        ),
        ((IMAGES, KERNEL), {"padding": "CAUSAL"}, ValueError, "'CAUSAL' with 2"),
        ((IMAGES, KERNEL), {"padding": "full"}, ValueError, "`padding` is 'full'"),
        (
            (IMAGES, KERNEL),
            {"padding": "VALID", "kernel_dilation": 3},
            ValueError,
            "spans 7 elements of spatial axis 0, which has 5",
        ),
        (
            (IMAGES, KERNEL),
            {"padding_mode": "reflect", "padding": 5},
            ValueError,
            "at most 4 on each side",
        ),
        (
            (IMAGES, KERNEL),
            {"padding_mode": "edge"},
            ValueError,
            "`padding_mode` is 'edge'",
        ),
        *[
            (
                (IMAGES, kernel),
                {"preferred_element_type": dtype},
                TypeError,
                f"`preferred_element_type` is {name}.*; wanted a dtype at least as",
            )
            # By "library", and by "product", which casts the arguments.
            for kernel in (KERNEL, KERNEL[:1, :1])
            for dtype, name in [("i4", "int32"), ("f2", "float16"), ("no", "'no'")]
        ],
        (
            (IMAGES, KERNEL),
            {"implementation": "cudnn"},
            ValueError,
            "`implementation` is 'cudnn'; wanted None or one of 'product', ",
        ),
    ],
)
def test_errors_say_what_is_wrong(arrays, options, error, match):
    with pytest.raises(error, match=match):
        conv(*arrays, **options)
