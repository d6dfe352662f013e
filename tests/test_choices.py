"""`jaxnets.plan`: what runs, why the others do not, and that jit hides no choice."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets
import jaxnets.functional as F
from jaxnets.choices import Candidate, choose


IMAGES = np.ones((2, 6, 6, 4), np.float32)


def test_the_first_candidate_with_nothing_against_it_runs():
    candidates = [Candidate("a", "too big"), Candidate("b"), Candidate("c")]
    choice = jaxnets.plan(lambda: choose("f", None, lambda _: candidates)).choices[0]
    assert choice.implementation == "b"
    assert choice.others == {"a": "too big", "c": "'b' is preferred"}


def test_a_name_forces_an_implementation_that_can_run():
    candidates = [Candidate("a", "too big"), Candidate("b")]
    assert choose("f", "a", lambda _: candidates).names["tpu"] == "a"
    others = jaxnets.plan(lambda: choose("f", "a", lambda _: candidates)).others
    assert others == {"b": "'a' is forced"}
    with pytest.raises(ValueError, match="`implementation` is 'c'; wanted None or one"):
        choose("f", "c", lambda _: candidates)
    unhashable: Any = ["a"]
    with pytest.raises(ValueError, match=r"`implementation` is \['a'\]; wanted None"):
        inspect.unwrap(choose)("f", unhashable, lambda _: candidates)
    impossible = [Candidate("a", "too big", possible=False), Candidate("b")]
    with pytest.raises(ValueError, match="'a', which cannot run here: too big"):
        choose("f", "a", lambda _: impossible)


def test_a_call_is_planned_without_arrays_and_within_jit():
    shape = jax.ShapeDtypeStruct(IMAGES.shape, "float32")
    pool = lambda x: F.max_pool(x, 2)
    assert jaxnets.plan(pool, shape).implementation == "shifts"
    compiled = jax.jit(pool)
    compiled(IMAGES)
    for _ in range(2):
        plan = jaxnets.plan(compiled, IMAGES)
        assert plan.implementation == "shifts"
        assert list(plan.others) == ["native", "reduce_window", "winners"]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="tuned for CPUs")
def test_large_windows_apart_are_reduced_where_there_are_channels():
    shape = lambda channels: jax.ShapeDtypeStruct((2, 16, 16, channels), "float32")
    planned = lambda channels, *a, **o: (
        jaxnets.plan(F.max_pool, shape(channels), *a, **o).implementation
    )
    assert planned(16, 8) == "reduce_window"
    assert planned(3, 8) == planned(16, 4) == planned(16, 8, strides=4) == "shifts"


@pytest.mark.parametrize(
    ("platform", "maximum", "dilated", "total", "apart"),
    [
        ("cpu", "shifts", "shifts", "shifts", "shifts"),
        ("cuda", "winners", "winners", "native", "native"),
        ("tpu", "native", "winners", "native", "native"),
    ],
)
def test_pools_have_a_form_for_each_platform(platform, maximum, dilated, total, apart):
    planned = lambda *a, **o: jaxnets.plan(*a, platform=platform, **o).implementation
    assert planned(F.max_pool, IMAGES, 3, strides=2) == maximum
    assert planned(F.max_pool, IMAGES, 2, window_dilation=2) == dilated
    assert planned(F.sum_pool, IMAGES, 3, strides=2) == total
    assert planned(F.sum_pool, IMAGES, 2) == apart
    # A TPU reshapes only where channels fill its tiles.
    wide = planned(F.sum_pool, jnp.ones((1, 8, 8, 8)), 2)
    assert (wide == "reshape") == (platform == "tpu")
    narrow = planned(F.sum_pool, jnp.bfloat16(IMAGES), 2)
    many_channels = planned(F.sum_pool, jnp.ones((1, 4, 4, 128)), 2)
    assert narrow == many_channels == ("shifts" if platform == "cpu" else "native")


@pytest.mark.parametrize(
    ("platform", "name"),
    [("cpu", "phases"), ("cuda", "library"), ("rocm", "library"), ("tpu", "lax")],
)
def test_conv_transpose_has_a_form_for_each_platform(platform, name):
    transposed = functools.partial(F.conv_transpose, strides=2)
    plan = jaxnets.plan(transposed, IMAGES, np.ones((2, 2, 4, 3)), platform=platform)
    assert plan.implementation == name


def test_a_model_shows_each_of_its_choices():
    def model(x):
        return F.sum_pool(F.max_pool(x, 3, strides=1), 2, strides=1)

    plan = jaxnets.plan(model, IMAGES)
    assert [c.function for c in plan.choices] == ["max_pool", "sum_pool"]
    assert plan.backend == jax.default_backend()
    lines = str(plan).splitlines()
    assert lines[0].startswith("max_pool on ")
    assert any("not reshape: windows overlap" in line for line in lines)


def test_a_plan_takes_the_options_and_raises_the_errors_of_the_call():
    assert (
        jaxnets.plan(
            F.max_pool, IMAGES, window_shape=2, implementation="reduce_window"
        ).implementation
        == "reduce_window"
    )
    with pytest.raises(ValueError, match="`window_shape` is 3"):
        jaxnets.plan(F.max_pool, jnp.ones((2, 2)), 3)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (jnp.sin, ValueError, "`function` is sin, which calls no function of jaxnets"),
        (lambda x: F.global_max_pool(x) + 1, ValueError, "which calls no function"),
        (3, TypeError, "`function` is of type int; wanted a function"),
        (None, TypeError, "`function` is of type NoneType; wanted a function"),
        ("lstm", TypeError, "`function` is of type str; wanted a function"),
        (IMAGES, TypeError, r"of type ndarray.*as in `plan\(F.avg_pool, x, 2\)`"),
    ],
)
def test_what_cannot_be_planned_is_an_error(function, error, message):
    with pytest.raises(error, match=message):
        inspect.unwrap(jaxnets.plan)(function, IMAGES)


def test_a_function_with_one_implementation_has_no_choice():
    plan = jaxnets.plan(F.global_max_pool, IMAGES)
    assert plan.implementation is None and plan.others == {}
    assert "one implementation" in str(plan)
