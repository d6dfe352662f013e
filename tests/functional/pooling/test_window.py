"""Max, sum and average pooling against plain loops."""

import functools
import inspect
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.functional.pooling.adaptive import adaptive_max_pool
from jaxnets.functional.pooling.global_pool import global_max_pool
from jaxnets.functional.pooling.indices import max_pool_with_indices
from jaxnets.functional.pooling.norms import logsumexp_pool
from jaxnets.functional.pooling.window import avg_pool, max_pool, sum_pool
from tests.functional.pooling.cases import WINDOW_POOLS
from tests.functional.pooling.setup import (
    assert_all_close,
    cotangent,
    oracle_options,
    problems,
    value_and_pullback,
    with_ties,
)
from tests.oracles import pool as oracle


POOLS = {"max": max_pool, "sum": sum_pool, "avg": avg_pool}
settings = hypothesis.settings(max_examples=25, deadline=None, derandomize=True)


def assert_is_the_oracle(kind, x, window, implementation=None, **options):
    pool = functools.partial(
        POOLS[kind], window_shape=window, implementation=implementation, **options
    )
    translated = oracle_options(options)
    expected = oracle.pool(kind, x, cotangent, window, **translated)
    assert_all_close(value_and_pullback(pool, x), expected)


@settings
@hypothesis.given(
    problem=problems(),
    implementation=st.sampled_from(["shifts", "reduce_window", "winners", None]),
    ties=st.booleans(),
    seed=st.integers(0, 99),
)
def test_max_pool_is_the_definition(problem, implementation, ties, seed):
    sizes, window, options = problem
    rng = np.random.default_rng(seed)
    shape = (2, *sizes, 2)
    x = with_ties(rng, shape) if ties else rng.normal(size=shape)
    assert_is_the_oracle("max", x, window, implementation, **options)


@settings
@hypothesis.given(
    problem=problems(),
    kind=st.sampled_from(["sum", "avg"]),
    implementation=st.sampled_from(["shifts", "reduce_window", "native", None]),
    count_include_pad=st.booleans(),
    divisor=st.sampled_from([None, None, 3, -0.5]),
    seed=st.integers(0, 99),
)
def test_sum_and_avg_pool_are_the_definition(
    problem, kind, implementation, count_include_pad, divisor, seed
):
    sizes, window, options = problem
    if kind == "avg":
        options |= dict(count_include_pad=count_include_pad, divisor=divisor)
    x = np.random.default_rng(seed).normal(size=(2, *sizes, 3))
    assert_is_the_oracle(kind, x, window, implementation, **options)


@pytest.mark.parametrize("implementation", ["shifts", "reshape", "native"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_sums_over_windows_that_do_not_overlap(implementation, dilation, rng):
    x = rng.normal(size=(2, 9, 11, 2))
    options: dict[str, Any] = dict(padding=((1, 0), (0, 2)), strides=(3, 5))
    options["window_dilation"] = (dilation, dilation)
    assert_is_the_oracle("sum", x, (2, 3), implementation, **options)


@pytest.mark.parametrize(
    ("window", "strides"),
    [((8, 8), (8, 8)), ((9, 9), (9, 9)), ((3, 3), (2, 2)), ((5, 3), (1, 2))],
)
def test_the_first_maximum_whether_reduced_at_once_or_by_axis(window, strides, rng):
    x = with_ties(rng, (1, 19, 20, 2))
    assert_is_the_oracle("max", x, window, strides=strides, padding=3)


@pytest.mark.parametrize("name", WINDOW_POOLS)
def test_every_window_pool_against_plain_loops(name, rng):
    """One problem with every option; a new pool is tested by its row of the table."""
    pool, kind, own = WINDOW_POOLS[name]
    x = rng.normal(size=(2, 6, 5, 3))
    options = {"strides": (2, 1), "padding": ((1, 0), (1, 1)), "ceil_mode": True}
    options |= {"padding_mode": "replicate", "window_dilation": (1, 2)}
    run = functools.partial(pool, window_shape=(3, 2), **options, **own)
    expected = oracle.pool(kind, x, cotangent, (3, 2), **oracle_options(options), **own)
    assert_all_close(value_and_pullback(run, x), expected)


def test_the_table_has_every_window_pool():
    takes_a_window = lambda name: (
        list(inspect.signature(getattr(F, name)).parameters)[1:2] == ["window_shape"]
    )
    pools = {name for name in F.__all__ if name.endswith("_pool")}
    windows = set(filter(takes_a_window, pools)) - {"fractional_max_pool"}
    assert windows == set(WINDOW_POOLS)


def test_max_pool_of_the_textbook():
    x = np.array([[12, 20, 30, 0], [8, 12, 2, 0], [34, 70, 37, 4], [112, 100, 25, 12]])
    y = max_pool(x[..., None], (2, 2))
    np.testing.assert_array_equal(y[..., 0], [[20, 30], [112, 37]])


@pytest.mark.parametrize("implementation", ["shifts", "winners"])
@pytest.mark.parametrize(
    ("window", "stride", "dilation"),
    [(9, 1, 1), (9, 4, 6), (17, 3, 1), (64, 64, 1), (70, 4, 6), (2, 90, 3)],
)
def test_large_windows_keep_the_first_maximum(implementation, window, stride, dilation):
    reach = dilation * (window - 1) + 1
    x = np.random.default_rng(window).integers(0, 4, size=(1, reach + 70, 2))
    options = dict(strides=(stride,), window_dilation=(dilation,), padding=3)
    assert_is_the_oracle("max", x, (window,), implementation, **options)


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("window", [2, 4])
def test_dilated_windows_around_one_element(kind, window):
    # The element is in the gap of the window, where XLA on CPUs would read it.
    x = np.array([3.0, 5.0]).reshape(2, 1, 1)
    options = dict(strides=(1,), padding=window - 1, window_dilation=(2,))
    assert_is_the_oracle(kind, x, (window,), "reduce_window", **options)


def test_a_window_of_4096_elements_compiles_to_a_small_program():
    gradient = jax.grad(lambda x: jnp.sum(max_pool(x, 64)))
    program = jax.jit(gradient).lower(jnp.ones((1, 64, 64, 1))).as_text()
    assert program.count("\n") < 1500


@pytest.mark.parametrize("implementation", ["shifts", "winners"])
def test_the_first_of_equal_maxima_takes_the_whole_cotangent(implementation):
    x = jnp.zeros((1, 5, 5, 1))
    pool = functools.partial(
        max_pool, window_shape=3, strides=2, implementation=implementation
    )
    gradient = jax.grad(lambda x: jnp.sum(pool(x)))(x)[0, :, :, 0]
    expected = np.zeros((5, 5))
    expected[:4:2, :4:2] = 1.0
    np.testing.assert_array_equal(gradient, expected)


def test_an_empty_window_has_a_gradient_of_zero():
    # The first of three windows lies in the padding.
    x = jnp.array([[1.0], [2.0], [3.0]])
    options = dict(window_shape=(2,), padding=((2, 1),))
    for pool, first in [(max_pool, -np.inf), (sum_pool, 0.0), (avg_pool, 0.0)]:
        y, pullback = jax.vjp(functools.partial(pool, **options), x)
        assert y[0, 0] == first
        (back,) = pullback(jnp.array([[jnp.inf], [0.0], [0.0]]))
        np.testing.assert_array_equal(back, np.zeros((3, 1)))


@pytest.mark.parametrize("dtype", [jnp.float8_e4m3fn, jnp.float8_e5m2], ids=str)
def test_floats_without_infinity_have_their_smallest_number(dtype):
    x = jnp.asarray([[1.0], [-2.0], [0.5], [-4.0]]).astype(dtype)
    smallest = jnp.asarray(-np.inf if dtype == jnp.float8_e5m2 else -448.0, jnp.float32)
    indices = lambda *arguments, **options: max_pool_with_indices(
        *arguments, **options
    )[0]
    for pool in (max_pool, indices, logsumexp_pool):
        # The first window lies in the padding.
        y = pool(x, (1,), strides=3, padding=((1, 0),)).astype(jnp.float32)
        np.testing.assert_array_equal(y[:, 0], [smallest, 0.5])
    assert global_max_pool(x, spatial_ndim=1).item() == 1.0
    assert adaptive_max_pool(x, (1,)).item() == 1.0


def test_axes_of_the_window_are_those_of_the_array():
    x = jnp.ones((2, 8, 8, 3))
    assert max_pool(x, (2, 2)).shape == (2, 4, 4, 3)
    assert max_pool(x, (2, 2, 2)).shape == (1, 4, 4, 3)
    with pytest.raises(ValueError, match=r"spatial axes have sizes \(1, 8, 8\)"):
        max_pool(x[:1], (2, 2, 2))


def test_integers_and_booleans_keep_their_dtype():
    x = np.array([[-3], [-7], [5], [100]], np.int8)
    y = max_pool(x, (3,), padding=1)
    assert y.dtype == jnp.int8
    np.testing.assert_array_equal(y[:, 0], [-3, 100])
    for name in ("shifts", "reshape", "reduce_window", "native"):
        sums = sum_pool(np.full((4, 1), 100, np.int8), (2,), implementation=name)
        assert sums.dtype == jnp.int32
        np.testing.assert_array_equal(sums[:, 0], [200, 200])
    assert max_pool(x, (1,), padding=1)[0, 0] == -128
    assert max_pool(x.astype(np.uint8), (2,), padding=1).dtype == jnp.uint8
    np.testing.assert_array_equal(max_pool(x > 0, (2,))[:, 0], [False, True])


@pytest.mark.parametrize("strides", [None, 1], ids=["apart", "overlapping"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_a_large_16_bit_average_is_right(dtype, strides):
    x = jnp.full((1, 64, 64, 1), 1.01, dtype)
    y = avg_pool(x, 64, strides=strides)
    assert y.dtype == dtype
    assert y.item() == x[0, 0, 0, 0]


def test_16_bit_cotangents_are_summed_in_float32():
    x = jnp.zeros((600, 1), jnp.bfloat16).at[300].set(1)
    total = jax.jit(lambda x: jnp.sum(max_pool(x, (300,), strides=1)))
    gradient = jax.grad(total)(x)
    assert gradient.dtype == jnp.bfloat16
    assert gradient[300, 0] == 300


@pytest.mark.parametrize("kind", POOLS)
def test_batch_axes_of_any_number(kind, rng):
    x = rng.normal(size=(2, 3, 5, 6, 2)).astype(np.float32)
    pool = functools.partial(POOLS[kind], window_shape=(2, 3), padding="SAME")
    y = pool(x)
    assert y.shape == (2, 3, 3, 2, 2)
    np.testing.assert_array_equal(y[1, 2], pool(x[1, 2]))
    assert pool(x[:0]).shape == (0, 3, 3, 2, 2)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(pool(x))))
    assert gradient(x[:0]).shape == (0, 3, 5, 6, 2)
    assert pool(x[..., :0]).shape == (2, 3, 3, 2, 0)


def test_complex_sums_and_averages(rng):
    x = (rng.normal(size=(5, 2)) + 1j * rng.normal(size=(5, 2))).astype(np.complex64)
    for strides in (1, 2):
        y = avg_pool(x, (2,), strides=strides)
        np.testing.assert_allclose(y, ((x[:-1] + x[1:]) / 2)[::strides], rtol=1e-6)


@pytest.mark.parametrize("implementation", ["shifts", "winners"])
def test_derivatives_of_dilated_max_pooling(implementation, rng):
    x = jnp.asarray(rng.normal(size=(1, 9, 2)), jnp.float32)
    pool = functools.partial(
        max_pool,
        window_shape=3,
        strides=1,
        window_dilation=2,
        implementation=implementation,
    )
    cubes = lambda x: jnp.sum(pool(x) ** 3)
    gradient = jax.jit(jax.grad(cubes))(x)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(cubes))(x), gradient, rtol=1e-5)
    hessian = jax.jit(jax.hessian(cubes))(x).reshape(18, 18)
    squares = jax.grad(lambda x: jnp.sum(pool(x) ** 2))
    expected = np.diag(3 * np.asarray(jax.jit(squares)(x)).ravel())
    np.testing.assert_allclose(hessian, expected, rtol=1e-5, atol=1e-6)
