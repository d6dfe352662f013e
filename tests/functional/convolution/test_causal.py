import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.functional.convolution.causal import causal_conv
from tests.oracles import conv as oracle


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    window=st.integers(1, 4),
    dilation=st.integers(1, 3),
    groups=st.sampled_from([1, 2]),
    chunks=st.lists(st.integers(0, 5), min_size=1, max_size=4),
)
def test_chunks_of_any_size_equal_the_whole(window, dilation, groups, chunks):
    rng = np.random.default_rng(sum(chunks))
    x = rng.normal(size=(2, sum(chunks), 4))
    kernel, bias = rng.normal(size=(window, 4 // groups, 6)), rng.normal(size=6)
    options = {"kernel_dilation": dilation, "feature_group_count": groups}
    reach = dilation * (window - 1)

    def stream(x, kernel, bias):
        state, outputs = None, []
        for chunk in jnp.split(x, np.cumsum(chunks)[:-1], axis=1):
            state, y = causal_conv(chunk, kernel, bias, state=state, **options)
            outputs.append(y)
        assert state is not None
        return state, jnp.concatenate(outputs, axis=1)

    dy = rng.normal(size=(2, sum(chunks), 6))

    @jax.jit
    def run(*arrays):
        (state, y), pullback = jax.vjp(stream, *arrays)
        return state, y, pullback((jnp.zeros_like(state), jnp.asarray(dy)))

    with jax.enable_x64(True):
        state, y, gradients = run(x, kernel, bias)
    before = np.concatenate([np.zeros((2, reach, 4)), x], axis=1)
    np.testing.assert_array_equal(state, before[:, before.shape[1] - reach :])
    assert y.shape == (2, sum(chunks), 6)
    if not sum(chunks):
        return
    geometry = oracle.Geometry((1,), ((reach, 0),), (1,), (dilation,), "zeros")
    expected = oracle.conv(x, kernel, bias, geometry, groups)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    adjoints = oracle.conv_adjoints(x, kernel, dy, geometry, groups)
    for gradient, adjoint in zip(gradients, adjoints, strict=True):
        np.testing.assert_allclose(gradient, adjoint, atol=1e-12)


def test_it_is_the_body_of_a_scan(rng):
    x = rng.normal(size=(3, 12, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 2, 5)).astype(np.float32)
    state, whole = causal_conv(x, kernel)

    def step(state, x_t):
        state, y = causal_conv(x_t[:, None], kernel, state=state)
        return state, y[:, 0]

    last, ys = jax.lax.scan(step, jnp.zeros((3, 2, 2)), jnp.swapaxes(x, 0, 1))
    np.testing.assert_allclose(jnp.swapaxes(ys, 0, 1), whole, atol=1e-5)
    np.testing.assert_array_equal(last, state)


def test_the_state_has_a_gradient(rng):
    state, x = (rng.normal(size=(1, n, 1)).astype(np.float32) for n in (2, 4))
    kernel = rng.normal(size=(3, 1, 1)).astype(np.float32)
    total = lambda state: jnp.sum(causal_conv(x, kernel, state=state)[1])
    k0, k1, _ = kernel.ravel()
    np.testing.assert_allclose(jax.grad(total)(state).ravel(), [k0, k0 + k1], rtol=1e-6)


def test_batch_axes_and_dtypes():
    x = jnp.ones((2, 0, 5, 3), jnp.bfloat16)
    state, y = causal_conv(x, jnp.ones((2, 3, 4), jnp.bfloat16))
    assert state.shape == (2, 0, 1, 3) and y.shape == (2, 0, 5, 4)
    assert state.dtype == y.dtype == jnp.bfloat16
    state, y = causal_conv(np.ones((5, 3)), np.ones((1, 3, 4)))
    assert state.shape == (0, 3) and y.shape == (5, 4)


X, KERNEL = np.ones((2, 5, 4), np.float32), np.ones((3, 4, 6), np.float32)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "match"),
    [
        ((X[0, 0], KERNEL), {}, ValueError, r"`x` \(4,\); wanted \(window"),
        ((X, KERNEL[None]), {}, ValueError, r"`kernel` has shape \(1, 3, 4, 6\)"),
        ((X, KERNEL[:0]), {}, ValueError, "a window of 1 or more"),
        ((X[..., :3], KERNEL), {}, ValueError, "`x` has 3 channels and `kernel`"),
        ((X, KERNEL), {"state": X}, ValueError, r"`state` .*; wanted \(2, 2, 4\)"),
        ((X, KERNEL), {"kernel_dilation": 0}, ValueError, "`kernel_dilation` is 0"),
        ((X > 0, KERNEL > 0), {}, TypeError, "dtype bool; wanted numbers"),
    ],
)
def test_errors_say_what_is_wrong(arrays, options, error, match):
    with pytest.raises(error, match=match):
        causal_conv(*arrays, **options)
