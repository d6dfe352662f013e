"""What only TPUs run: `select_and_scatter`, and sums with the spatial axes first.

The maximum is called directly, since on a CPU its name is refused: there XLA compares
the elements of a padded window in another order than the specified one. So where there
is padding on several axes, no two elements are equal here.
"""

import functools
import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.functional.pooling.implementations import native
from jaxnets.functional.pooling.implementations.maxima import maxima_by_shifts
from jaxnets.functional.pooling.implementations.native import native_maxima
from jaxnets.functional.pooling.options import pool_windows
from tests.functional.pooling.cases import distinct
from tests.functional.pooling.setup import (
    assert_all_close,
    cotangent,
    oracle_options,
    problems,
    value_and_pullback,
    with_ties,
)
from tests.oracles import pool as oracle


def windows_of(x, window, **options):
    defaults = {"strides": None, "padding": "VALID", "window_dilation": 1}
    return pool_windows(x, window, **defaults | {"ceil_mode": False} | options)


@hypothesis.settings(max_examples=20, deadline=None, derandomize=True)
@hypothesis.given(problem=problems(), ties=st.booleans(), seed=st.integers(0, 99))
def test_it_is_the_definition(problem, ties, seed):
    sizes, window, options = problem
    options["window_dilation"] = (1,) * len(sizes)
    mode, rng = options.pop("padding_mode"), np.random.default_rng(seed)
    try:
        windows = windows_of(np.zeros((2, *sizes, 2)), window, **options)
    except ValueError:
        hypothesis.reject()
    inside = np.less_equal(windows.covered_sizes, sizes).all()
    unpadded = inside and not np.any(windows.pairs)
    ties = ties and (len(sizes) == 1 or unpadded)
    shape = (2, *sizes, 2)
    x = with_ties(rng, shape) if ties else rng.permutation(distinct(*shape))
    pool = functools.partial(native_maxima, windows=windows, mode=mode)
    translated = oracle_options(options | {"padding_mode": mode})
    expected = oracle.pool("max", x, cotangent, window, **translated)
    assert_all_close(value_and_pullback(pool, x), expected)


def test_an_empty_window_has_a_gradient_of_zero():
    x = jnp.array([[[-jnp.inf], [2.0], [3.0]]])
    windows = windows_of(x, (2,), padding=((4, 5),))
    y, pullback = jax.vjp(lambda x: native_maxima(x, windows, "zeros"), x)
    empty = y == -jnp.inf
    (back,) = pullback(jnp.where(empty, jnp.inf, 1.0))
    np.testing.assert_array_equal(back, jnp.array([[[0.0], [1.0], [1.0]]]))


@pytest.mark.parametrize("strides", [1, 3], ids=["overlapping", "apart"])
def test_16_bit_cotangents_are_summed_in_float32(strides):
    x = jnp.zeros((1, 600, 1), jnp.bfloat16).at[0, 300].set(1)
    windows = windows_of(x, (300,), strides=strides)
    total = lambda x: jnp.sum(native_maxima(x, windows, "zeros"))
    gradient = jax.jit(jax.grad(total))(x)
    assert gradient.dtype == jnp.bfloat16
    assert gradient[0, 300, 0] == -(-300 // strides)


def test_forward_mode_second_order_and_vmap():
    x = jnp.asarray(distinct(3, 2, 6, 5, 2))
    windows = windows_of(x[0], (3, 2), strides=2, padding=1)

    def products(pool):
        cubes = lambda x: jnp.sum(pool(x, windows, "zeros") ** 3)
        along = lambda x: jax.jvp(cubes, (x,), (jnp.sin(x),))[1]
        pullback = lambda x: jax.vjp(jax.grad(cubes), x)[1](jnp.cos(x))[0]
        each = lambda x: (along(x), jax.grad(along)(x), pullback(x))
        return jax.jit(jax.vmap(each))(x)

    assert_all_close(products(native_maxima), products(maxima_by_shifts))


def test_a_tpu_runs_it_and_no_other_platform_does():
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(F.max_pool(x, 3, strides=2))))
    traced = gradient.trace(jax.ShapeDtypeStruct((1, 8, 8, 2), "float32"))
    found = {
        platform: traced.lower(lowering_platforms=(platform,))
        .as_text()
        .count("stablehlo.select_and_scatter")
        for platform in ("cpu", "cuda", "tpu")
    }
    assert found == {"cpu": 0, "cuda": 0, "tpu": 1}
    with pytest.raises(ValueError, match="cannot run here: XLA's derivative adds"):
        F.max_pool(jnp.ones((1, 4, 4, 1)), 2, implementation="native")


@pytest.mark.parametrize(
    ("shape", "strides", "layouts"),
    [
        # The value, its transpose and the cotangent.
        ((2, 7, 7, 4), 2, 3),
        # XLA copies nothing if windows do not overlap, or batches fill the lanes.
        ((2, 7, 7, 4), 3, 0),
        ((5, 7, 7, 4), 2, 0),
        ((260, 7, 7, 256), 2, 3),
    ],
)
def test_overlapping_windows_ask_for_a_layout_on_tpus(shape, strides, layouts):
    value = lambda x: jnp.sum(F.max_pool(x, 3, strides=strides) ** 2)
    traced = jax.jit(jax.grad(value)).trace(jax.ShapeDtypeStruct(shape, "bfloat16"))
    for platform, wanted in (("cpu", 0), ("cuda", 0), ("tpu", layouts)):
        program = traced.lower(lowering_platforms=(platform,)).as_text()
        assert program.count("@LayoutConstraint(") == wanted
    # JAX does not export layouts.
    export = jax.export.export(jax.jit(jax.grad(value)), platforms=("tpu",))
    program = export(jax.ShapeDtypeStruct(shape, "bfloat16")).mlir_module()
    assert "@LayoutConstraint(" not in program


def test_a_partitioned_program_selects_the_first_nan_too(rng):
    values = [-np.inf, -1.0, 0.0, 1.0, np.finfo(np.float32).max, np.inf, np.nan]
    x = jnp.asarray(rng.choice(values, size=(8, 6, 5, 8)), jnp.float32)
    windows = windows_of(x, (3, 2), strides=(2, 1))
    batch = jax.make_mesh((2,), ("batch",), (jax.sharding.AxisType.Auto,))
    spec = jax.NamedSharding(batch, jax.P("batch"))

    def gradient(pool, x):
        y, pullback = jax.vjp(lambda x: pool(x, windows, "zeros"), x)
        return pullback(jnp.asarray(cotangent(y.shape), y.dtype))[0]

    partitioned = jax.jit(functools.partial(gradient, native_maxima))
    expected = gradient(maxima_by_shifts, x)
    np.testing.assert_allclose(partitioned(jax.device_put(x, spec)), expected)
    np.testing.assert_allclose(partitioned(x), expected)


@hypothesis.settings(max_examples=10, deadline=None, derandomize=True)
@hypothesis.given(problem=problems(), seed=st.integers(0, 99))
def test_sums_with_the_spatial_axes_first_are_the_definition(problem, seed):
    sizes, window, options = problem
    x = np.random.default_rng(seed).normal(size=(2, *sizes, 6))
    on_a_tpu = lambda variants, run, reasons: run(variants["tpu"])
    pool = functools.partial(
        F.sum_pool, window_shape=window, implementation="native", **options
    )
    expected = oracle.pool("sum", x, cotangent, window, **oracle_options(options))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "run_by_platform", on_a_tpu)
        assert_all_close(value_and_pullback(pool, x), expected)


@pytest.mark.parametrize(
    ("channels", "found"), [(8, {"tpu"}), (4, set())], ids=["many", "few"]
)
def test_only_tpus_sum_with_the_spatial_axes_first(channels, found):
    shape = jax.ShapeDtypeStruct((2, 9, 7, channels), "float32")
    lower = jax.jit(lambda x: F.sum_pool(x, 3, strides=2)).trace(shape).lower
    programs = {p: lower(lowering_platforms=(p,)) for p in ("cpu", "cuda", "tpu")}
    assert {p for p, each in programs.items() if "transpose" in each.as_text()} == found


def test_windows_that_do_not_overlap_have_a_transpose_in_16_bits(rng):
    x = jnp.asarray(rng.normal(size=(2, 7, 6, 3)), jnp.bfloat16)

    def gradient(x, implementation=None):
        pool = lambda x: F.avg_pool(x, 3, padding=1, implementation=implementation)
        return jax.grad(lambda x: jnp.sum(pool(x).astype("float32") ** 3))(x)

    expected, found = jax.jit(lambda x: [gradient(x, n) for n in ("shifts", "native")])(
        x
    )
    np.testing.assert_array_equal(found, expected)
    program = jax.jit(gradient).trace(x).lower(lowering_platforms=("tpu",)).as_text()
    reduced = re.findall(r"\) : \(tensor<\S+x(\w+)>, tensor<\w+>\) ->", program)
    assert sorted(reduced) == ["bf16", "f32"]


@pytest.mark.parametrize(
    ("shape", "window", "strides"),
    [((2, 16, 16, 16), 2, 2), ((2, 12, 12, 2), 4, 4), ((2, 9, 9, 2), 3, 2)],
)
def test_averages_of_bfloat16_are_rounded_once(shape, window, strides):
    """Also where a power of two divides after the rounding, and in the transpose."""
    x = cotangent(shape).astype(jnp.bfloat16)
    pool = functools.partial(F.avg_pool, window_shape=window, strides=strides)
    y, back = jax.vjp(lambda x: pool(x, implementation="native"), x)
    wide, wide_back = jax.vjp(pool, x.astype(jnp.float32))
    np.testing.assert_array_equal(y, wide.astype(jnp.bfloat16))
    gradient = wide_back(y.astype(jnp.float32))[0]
    np.testing.assert_array_equal(back(y)[0], gradient.astype(jnp.bfloat16))
