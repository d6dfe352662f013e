"""`log_adjoint_norms` against explicit adjoints, also far below float32's range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import log_adjoint_norms, measure, tap
from tests.oracles import gradflow as oracle


def tanh_rnn(w_hh):
    def step(h, u_t):
        h = jnp.tanh(h @ w_hh + u_t)
        return h, h

    return step


def lstm_like(w_hh):
    """A state of two arrays, a counter and a random key."""

    def step(state, u_t):
        f = jax.nn.sigmoid(state["h"] @ w_hh + 1.0)
        c = f * state["c"] + u_t
        return {
            "h": jnp.tanh(c),
            "c": c,
            "count": state["count"] + 1,
            "key": state["key"],
        }, None

    return step


@pytest.fixture
def w_hh(rng):
    return rng.normal(size=(5, 5), scale=0.35).astype(np.float32)


def test_against_the_adjoint_by_hand(w_hh, rng):
    h, cotangent = rng.normal(size=(2, 5)).astype(np.float32)
    inputs = rng.normal(size=(9, 5)).astype(np.float32)
    actual = jax.jit(lambda *a: log_adjoint_norms(tanh_rnn(w_hh), *a))(
        h, inputs, cotangent
    )
    jacobians = oracle.tanh_rnn_jacobians(w_hh.astype(np.float64), h, inputs)
    expected = oracle.log_adjoint_norms(jacobians, cotangent.astype(np.float64))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_thousands_of_steps_stay_finite_and_exact(w_hh, rng):
    steps = 5_000
    inputs = 0.5 * rng.normal(size=(steps, 5)).astype(np.float32)
    h, cotangent = np.zeros(5, np.float32), np.ones(5, np.float32)
    run = jax.jit(lambda *a: log_adjoint_norms(tanh_rnn(w_hh), *a))
    actual = run(h, inputs, cotangent)
    jacobians = oracle.tanh_rnn_jacobians(w_hh.astype(np.float64), h, inputs)
    expected = oracle.log_adjoint_norms(jacobians, cotangent.astype(np.float64))
    assert expected[0] < -1000  # the smallest float32 is exp(-103)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)
    underflowed = jax.grad(
        lambda h: jnp.sum(jax.lax.scan(tanh_rnn(w_hh), h, inputs)[0])
    )(h)
    np.testing.assert_array_equal(underflowed, 0)


def test_it_agrees_with_taps(w_hh, rng):
    inputs = rng.normal(size=(6, 3, 5)).astype(np.float32)
    h = np.zeros((3, 5), np.float32)

    def loss(w_hh):
        def step(h, u_t):
            return tap(tanh_rnn(w_hh)(h, u_t)[0], "h"), None

        return jnp.sum(jax.lax.scan(step, h, inputs)[0])

    norms = measure(loss, w_hh).taps["h"].norm
    logs = log_adjoint_norms(tanh_rnn(w_hh), h, inputs, jnp.ones_like(h))
    np.testing.assert_allclose(logs, np.log(norms), rtol=1e-5, atol=1e-5)


def test_a_state_of_many_leaves_against_plain_reverse_mode(w_hh, rng):
    inputs = rng.normal(size=(4, 5)).astype(np.float32)
    step = lstm_like(w_hh)
    state = {
        "h": jnp.ones(5),
        "c": jnp.ones(5),
        "count": jnp.zeros((), jnp.int32),
        "key": jax.random.key(0),
    }
    cotangent = {**state, "h": jnp.full(5, 0.3), "c": jnp.full(5, 2.0)}
    logs = log_adjoint_norms(step, state, inputs, cotangent)

    def loss(floats, start):
        final = {**state, "h": floats[0], "c": floats[1]}
        for u_t in inputs[start:]:
            final, _ = step(final, u_t)
        return 0.3 * jnp.sum(final["h"]) + 2.0 * jnp.sum(final["c"])

    current = state
    for t, u_t in enumerate(inputs):
        current, _ = step(current, u_t)
        gradient = jax.grad(loss)((current["h"], current["c"]), t + 1)
        norm = np.linalg.norm(np.concatenate(gradient))
        np.testing.assert_allclose(logs[t], np.log(norm), rtol=1e-5, atol=1e-5)


def test_vmap_gives_one_row_per_example(w_hh, rng):
    inputs = rng.normal(size=(3, 6, 5)).astype(np.float32)
    h, cotangent = np.zeros(5, np.float32), np.ones(5, np.float32)
    run = lambda xs: log_adjoint_norms(tanh_rnn(w_hh), h, xs, cotangent)
    rows = np.stack([jax.jit(run)(xs) for xs in inputs])
    np.testing.assert_allclose(
        jax.jit(jax.vmap(run))(inputs), rows, rtol=1e-5, atol=1e-5
    )


def test_a_gradient_of_exactly_zero_is_minus_infinity():
    step = lambda h, reset: (jnp.where(reset, 0.0, h), None)
    resets = jnp.array([False, True, False])
    logs = log_adjoint_norms(step, jnp.ones(2), resets, jnp.ones(2))
    np.testing.assert_allclose(logs[1:], 0.5 * np.log(2), rtol=1e-6)
    assert logs[0] == -np.inf


@pytest.mark.parametrize("scale", [1e-37, 1e37])
def test_cotangents_at_the_ends_of_float32(scale, w_hh):
    inputs, h = np.ones((3, 5), np.float32), np.zeros(5, np.float32)
    step = tanh_rnn(w_hh)
    plain = log_adjoint_norms(step, h, inputs, jnp.ones(5))
    scaled = log_adjoint_norms(step, h, inputs, jnp.full(5, scale))
    np.testing.assert_allclose(scaled - plain, np.log(scale), rtol=1e-5)


def test_norms_of_bfloat16_are_float32(w_hh):
    step = tanh_rnn(jnp.asarray(w_hh, jnp.bfloat16))
    ones = lambda *shape: jnp.ones(shape, jnp.bfloat16)
    logs = log_adjoint_norms(step, ones(5), ones(4, 5), ones(5))
    expected = log_adjoint_norms(
        tanh_rnn(w_hh), np.ones(5, "f"), np.ones((4, 5), "f"), np.ones(5, "f")
    )
    assert logs.dtype == jnp.float32
    np.testing.assert_allclose(logs, expected, atol=0.1)


def test_errors_name_the_argument():
    step = lambda h, x: (h, None)
    h, xs = jnp.ones(3), jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"`cotangent` has the shapes .*`state`"):
        log_adjoint_norms(step, h, xs, jnp.ones(4))
    with pytest.raises(ValueError, match="`state` has no floating-point array"):
        log_adjoint_norms(step, jnp.arange(3), xs, jnp.arange(3))
    with pytest.raises(ValueError, match=r"`xs` has the shapes .* leading time axis"):
        log_adjoint_norms(step, h, jnp.ones((0, 3)), h)
