"""Max pooling with indices and its inverse against plain loops."""

import functools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.pooling.indices import max_pool_with_indices, max_unpool
from jaxnets.functional.pooling.window import max_pool
from tests.functional.pooling.setup import (
    assert_all_close,
    cotangent,
    oracle_options,
    problems,
    value_and_pullback,
    with_ties,
)
from tests.oracles import pool as oracle


settings = hypothesis.settings(max_examples=20, deadline=None, derandomize=True)


@settings
@hypothesis.given(problem=problems(), ties=st.booleans(), seed=st.integers(0, 99))
def test_indices_and_gradient_are_those_of_the_definition(problem, ties, seed):
    sizes, window, options = problem
    rng = np.random.default_rng(seed)
    shape = (2, *sizes, 2)
    x = with_ties(rng, shape) if ties else rng.normal(size=shape)

    @jax.jit
    def run(x):
        function = functools.partial(
            max_pool_with_indices, window_shape=window, **options
        )
        y, pullback, indices = jax.vjp(function, x, has_aux=True)
        return y, *pullback(jnp.asarray(cotangent(y.shape), x.dtype)), indices

    windows = list(oracle.windows(sizes, window, **oracle_options(options)))
    *expected, maxima = oracle.over_windows("max", x, cotangent, lambda b, c: windows)
    *actual, indices = run(jnp.asarray(x, jnp.float32))
    assert_all_close(actual, expected)
    assert indices.dtype == jnp.int32
    np.testing.assert_array_equal(indices, maxima)


@pytest.mark.parametrize(
    "options",
    [dict(strides=1), dict(strides=2, padding="SAME", padding_mode="reflect")],
)
def test_the_maxima_are_those_of_max_pool_to_the_bit(options, rng):
    x = jnp.asarray(rng.integers(-3, 3, size=(2, 7, 6, 3)), jnp.float32)

    def both(pool):
        return jax.jit(lambda x: jax.vjp(lambda x: pool(x, 3, **options), x)[0])(x)

    y, indices = both(max_pool_with_indices)
    np.testing.assert_array_equal(y, both(max_pool))
    flat = np.asarray(x).reshape(2, 42, 3)
    found = np.take_along_axis(
        np.asarray(flat), np.asarray(indices).reshape(2, -1, 3), axis=1
    )
    np.testing.assert_array_equal(found, y.reshape(found.shape))


def test_indices_of_integers_and_of_large_windows(rng):
    x = rng.integers(0, 5, size=(1, 90, 1)).astype(np.int8)
    y, indices = max_pool_with_indices(x, (70,), strides=4)
    assert y.dtype == jnp.int8
    expected = [
        np.argmax(x[0, start : start + 70, 0]) + start for start in range(0, 21, 4)
    ]
    np.testing.assert_array_equal(indices[0, :, 0], expected)


def test_indices_without_batch_axes_and_with_an_empty_one(rng):
    @jax.jit
    def pool_and_unpool(x):
        y, indices = max_pool_with_indices(x, (2, 2))
        return y, indices, max_unpool(y, indices, (4, 4))

    x = rng.normal(size=(2, 3, 4, 4, 2)).astype(np.float32)
    several = pool_and_unpool(x)
    assert [a.shape[2:] for a in several] == [(2, 2, 2), (2, 2, 2), (4, 4, 2)]
    for a, b in zip(several, pool_and_unpool(x[1, 2]), strict=True):
        np.testing.assert_array_equal(a[1, 2], b)
    assert [len(a) for a in pool_and_unpool(x[:0])] == [0, 0, 0]
    none = np.zeros((2, 0, 3), np.float32)
    unpool = lambda y: max_unpool(y, none.astype(int), (4,))
    y, pullback = jax.vjp(unpool, jnp.asarray(none))
    np.testing.assert_array_equal(y, np.zeros((2, 4, 3)))
    assert pullback(y)[0].shape == none.shape


@settings
@hypothesis.given(
    sizes=st.sampled_from([(9,), (3, 5), (2, 3, 2)]),
    out=st.integers(1, 4),
    dtype=st.sampled_from([np.int8, np.int32, np.uint16, np.int64]),
    seed=st.integers(0, 99),
)
def test_unpooling_is_the_definition(sizes, out, dtype, seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(2, *[out] * len(sizes), 3))
    count = math.prod(sizes)
    low = -1 if np.issubdtype(dtype, np.signedinteger) else 0
    indices = rng.integers(low, count, size=y.shape).astype(dtype)
    unpool = functools.partial(max_unpool, indices=indices, spatial_shape=sizes)
    expected = oracle.unpool(y, indices, cotangent, sizes)
    assert_all_close(value_and_pullback(unpool, y), expected)


def test_unpooling_undoes_pooling(rng):
    x = jnp.asarray(rng.normal(size=(2, 6, 6, 2)), jnp.float32)
    y, indices = max_pool_with_indices(x, 2)
    back = max_unpool(y, indices, (6, 6))
    np.testing.assert_array_equal(max_pool(back, 2), jnp.maximum(y, 0))
    np.testing.assert_array_equal(back[back != 0], x[back != 0])
    # Pooling and unpooling pass a cotangent to the maxima only.
    pool_and_unpool = lambda x: max_unpool(*max_pool_with_indices(x, 2), 6)
    _, pullback = jax.vjp(pool_and_unpool, x)
    np.testing.assert_array_equal(pullback(jnp.ones_like(x))[0], back != 0)


def test_forward_mode_of_unpooling_is_the_transpose_of_reverse(rng):
    y = jnp.asarray(rng.normal(size=(1, 4, 1)), jnp.float32)
    indices = jnp.array([[[2], [0], [2], [-1]]])
    unpool = lambda y: max_unpool(y, indices, 3)
    forward, reverse = jax.jacfwd(unpool)(y), jax.jacrev(unpool)(y)
    np.testing.assert_array_equal(forward, reverse)
    assert jnp.sum(forward) == 3
    np.testing.assert_array_equal(unpool(y)[0, :, 0], [y[0, 1, 0], 0, y[0, 2, 0]])


@pytest.mark.parametrize("bad", [-2, 3, 2**31 - 1])
def test_indices_out_of_range_raise_where_known_and_are_dropped_elsewhere(bad):
    y, indices = jnp.ones((2, 1)), jnp.array([[0], [bad]])
    with pytest.raises(ValueError, match=rf"`indices` holds {bad}; wanted 0 to 2"):
        max_unpool(y, indices, (3,))
    out = jax.jit(lambda i: max_unpool(y, i, (3,)))(indices)
    np.testing.assert_array_equal(out[:, 0], [1, 0, 0])


def test_narrow_and_unsigned_indices():
    indices = np.array([[3], [200], [255]], np.uint8)
    out = jax.jit(lambda y, i: max_unpool(y, i, (300,)))(jnp.ones((3, 1)), indices)
    np.testing.assert_array_equal(np.flatnonzero(out), [3, 200, 255])
    out = jax.jit(lambda i: max_unpool(i, i, (9,)))(
        np.array([[3], [2**32 - 1]], np.uint32)
    )
    np.testing.assert_array_equal(np.flatnonzero(out), [3])


def test_numpy_indices_after_64_bits_were_on():
    """JAX kept them as int64, and then warned that it truncates them."""
    y, indices = np.ones((1, 2, 1), np.float32), np.array([[[0], [2]]])

    def unpooled(y):
        return max_unpool(y, indices, (5,))

    with jax.enable_x64(True):
        jax.jit(unpooled)(y)
    out = jax.jit(lambda y: unpooled(y))(y)
    np.testing.assert_array_equal(out[0, :, 0], [1, 0, 1, 0, 0])


def test_errors_name_the_argument():
    y = jnp.ones((1, 2, 2, 1))
    indices = jnp.zeros(y.shape, jnp.int32)
    with pytest.raises(TypeError, match="`indices` has dtype float32; wanted integers"):
        max_unpool(y, y, (4, 4))
    with pytest.raises(ValueError, match=r"`indices` has shape \(1, 2, 2\) and `y`"):
        max_unpool(y, indices[..., 0], (4, 4))
    with pytest.raises(ValueError, match=r"`spatial_shape` is \(4, 0\)"):
        max_unpool(y, indices, (4, 0))
    with pytest.raises(ValueError, match=r"`y` has shape .* `spatial_shape` is"):
        max_unpool(y, indices, (4, 4, 4, 4))
    with pytest.raises(TypeError, match=r"`spatial_shape` is 2.5"):
        max_unpool(y, indices, 2.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"fewer than 2\*\*31 elements"):
        max_unpool(y, indices, (2**16, 2**15))
    with pytest.raises(TypeError, match="complex64; wanted real numbers"):
        max_pool_with_indices(y.astype(jnp.complex64), 2)
    with pytest.raises(ValueError, match="3 elements of spatial axis 0"):
        max_pool_with_indices(y, 3)
