"""Recurrences outside of `jax.jit`: one compilation for each shape, no stale values."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.backend import get_backend

from jaxnets import functional as F
from jaxnets.programs import run_jaxpr
from tests.functional.recurrence.cases import CASES


X = jnp.linspace(-1.0, 1.0, 24).reshape(2, 4, 3)
COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations():
    """A list that grows with each compilation."""
    found = []

    def count(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(count)
    yield found
    jax.monitoring.unregister_event_duration_listener(count)


def step(h, x_t):
    h = jnp.tanh(h + x_t)
    return h, h


def both_directions(x):
    params = F.init_gru(jax.random.key(0), 3, 2)
    return F.bidirectional(F.gru, params, params, x, lengths=jnp.array([4, 2]))[1]


def maps(x):
    params = F.init_conv_lstm(jax.random.key(0), 1, 2, (3,))
    return F.conv_lstm(params, x[..., None], clip_cotangent=1.0)[1]


def training(x):
    params, key = F.init_lstm(jax.random.key(0), 3, 2), jax.random.key(1)
    options = {"zoneout": 0.1, "recurrent_dropout": 0.5, "layer_norm": True}
    return F.lstm(params, x, key=key, clip=1.0, truncate=2, **options)[1]


CALLS = {
    "recur": lambda x: F.recur(step, x[:, 0], x, checkpoint=2)[1],
    "bidirectional": both_directions,
    "conv_lstm": maps,
    "lstm with options": training,
}
CALLS |= {
    case.name: lambda x, case=case: case.function(x, *case.arrays[1:])
    for case in CASES
    if case.name != "recur" and not case.name.endswith("step")
}
INPUTS = {case.name: case.arrays[0] for case in CASES}


@pytest.mark.parametrize("name", CALLS)
def test_a_second_call_compiles_nothing(name, compilations):
    function = CALLS[name]
    total = lambda x: sum(jnp.sum(y**2) for y in jax.tree.leaves(function(x)))
    first = jnp.asarray(X if name == "recur" else INPUTS.get(name, X))
    second = 0.5 * first
    # The derivatives of a root are functions, which JAX cannot compare.
    calls = (function,) if name == "solve_in_parallel" else (function, jax.grad(total))
    for call in calls:
        call(first)
        compilations.clear()
        call(second)
        assert not compilations


def test_numbers_in_programs_are_told_apart(compilations):
    one = jnp.ones(3)
    run = lambda number: run_jaxpr(
        jax.make_jaxpr(lambda x: jnp.where(x < 0, x, number))(one), [one]
    )[0]
    assert not np.signbit(run(0.0)[0]) and np.signbit(run(-0.0)[0])
    run(float("nan"))
    compilations.clear()
    run(float("nan"))
    assert not compilations


def test_values_that_a_step_closes_over_are_never_stale():
    scale, factor = jnp.ones((1, 3)), 1.0
    step = lambda h, x_t: (h * scale + factor * x_t, h)
    run = lambda: F.recur(step, X[:, 0], X)[0]
    one = run()
    scale = jnp.full((1, 3), 2.0)
    two = run()
    factor = 3.0
    three = run()
    assert not np.allclose(one, two) and not np.allclose(two, three)
    np.testing.assert_allclose(three, jax.jit(run)(), rtol=1e-6)


def test_derivatives_that_a_step_closes_over_are_never_stale():
    def slope(factor):
        double = jax.custom_jvp(lambda h: 2 * h)
        double.defjvp(lambda primals, tangents: (2 * primals[0], factor * tangents[0]))
        functions.append(double)
        return jax.grad(lambda h: jnp.sum(F.recur(step, h, X)[0]))(X[:, 0])

    functions = []
    step = lambda h, x_t: (functions[-1](h) + x_t, h)
    np.testing.assert_allclose(slope(3.0), 3.0**4)
    np.testing.assert_allclose(slope(1.0), 1.0)


def test_values_that_an_activation_closes_over_are_never_stale():
    params = F.init_rnn(jax.random.key(0), 3, 2)
    scale = jnp.ones(())
    activation = lambda a: jnp.tanh(scale * a)
    total = lambda x: jnp.sum(F.rnn(params, x, activation=activation)[1])
    one = jax.grad(total)(X)
    scale = jnp.asarray(2.0)
    np.testing.assert_allclose(jax.grad(total)(X), jax.jit(jax.grad(total))(X), 1e-6)
    assert not np.allclose(one, jax.grad(total)(X))


def test_an_activation_may_close_over_what_is_differentiated():
    params = F.init_rnn(jax.random.key(0), 3, 2)

    def total(scale):
        activation = lambda a: jnp.tanh(scale * a)
        return jnp.sum(F.rnn(params, X, activation=activation)[1])

    slope = jax.grad(total)(1.5)
    np.testing.assert_allclose(slope, jax.jit(jax.grad(total))(1.5), rtol=1e-6)


def test_programs_of_functions_that_are_gone_are_not_kept():
    params = F.init_rnn(jax.random.key(0), 3, 2)

    def call():
        F.rnn(params, X, activation=lambda a: jnp.tanh(2 * a))
        F.recur(lambda h, x_t: (h + x_t, h), X[:, 0], X)
        gc.collect()
        return len(get_backend().live_executables())

    call()
    assert call() == call()


def test_vmap_and_forward_mode_are_those_of_the_compiled_function():
    params = F.init_gru(jax.random.key(0), 3, 2)
    run = lambda x: F.gru(params, x, implementation="scan")[1]
    for transformed in (jax.vmap(run), lambda x: jax.jvp(run, (x,), (x,))):
        actual, expected = transformed(X), jax.jit(transformed)(X)
        jax.tree.map(
            lambda a, e: np.testing.assert_allclose(a, e, 1e-5), actual, expected
        )
