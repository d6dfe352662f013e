"""`adjoint_parts` against the equations of an LSTM and a GRU in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import LSTMState, gru_step, init_gru, init_lstm, lstm_step
from jaxnets.gradflow import adjoint_parts, log_adjoint_norms, measure
from tests.oracles import gradflow as oracle


H, D = 5, 3
of_c = lambda state: state.c


def lstm_case(rng, steps, forget_bias=1.0):
    params = init_lstm(jax.random.key(1), D, H, forget_bias=forget_bias)
    params = params._replace(b=params.b + 0.1 * rng.normal(size=4 * H).astype("f"))
    h, c, to_h, to_c = rng.normal(size=(4, H)).astype("f")
    xs = rng.normal(size=(steps, D)).astype("f")
    return params, LSTMState(h, c), xs, LSTMState(to_h, to_c)


@jax.jit
def lstm_parts(params, state, xs, cotangent):
    step = lambda state, x_t: lstm_step(params, state, x_t)
    direct = lambda s, x_t: step(s._replace(h=jax.lax.stop_gradient(s.h)), x_t)
    return adjoint_parts(step, direct, state, xs, cotangent, select=of_c)


def test_lstm_against_its_equations(rng):
    params, state, xs, cotangent = lstm_case(rng, 9)
    parts = lstm_parts(params, state, xs, cotangent)
    jacobians = oracle.lstm_jacobians(params[:3], *state, xs)
    total, direct = oracle.adjoint_parts(*jacobians, np.concatenate(cotangent))
    norms = lambda vectors: np.linalg.norm(vectors[:, H:], axis=1)
    np.testing.assert_allclose(np.exp(parts.total), norms(total), rtol=1e-5)
    np.testing.assert_allclose(np.exp(parts.direct), norms(direct), rtol=1e-5)
    rest = norms(total - direct)
    np.testing.assert_allclose(np.exp(parts.recurrent), rest, rtol=1e-4, atol=1e-6)


def test_the_direct_path_is_the_product_of_the_forget_gates(rng):
    """Also far below float32's range, and with and without recurrent weights."""
    params, state, xs, cotangent = lstm_case(rng, 3_000, forget_bias=0.0)
    cotangent = cotangent._replace(h=np.zeros(H, "f"))
    parts = lstm_parts(params, state, xs, cotangent)
    _, direct_jacobians = oracle.lstm_jacobians(params[:3], *state, xs)
    gates = np.log([np.diag(jacobian)[H:] for jacobian in direct_jacobians])
    sums = np.append(np.cumsum(gates[:0:-1], axis=0)[::-1], np.zeros((1, H)), axis=0)
    each = sums + np.log(np.abs(cotangent.c))
    expected = np.logaddexp.reduce(2 * each, axis=1) / 2
    assert expected[0] < -1_000  # the smallest float32 is exp(-103)
    np.testing.assert_allclose(parts.direct, expected, rtol=1e-5, atol=1e-4)
    # A path that leaves the direct one passes h, and reaches c two steps later.
    assert np.all(np.isfinite(parts.recurrent[:-2]))
    np.testing.assert_array_equal(parts.recurrent[-2:], -np.inf)
    without = params._replace(w_hh=0 * params.w_hh)
    alone = lstm_parts(without, state, xs, cotangent)
    np.testing.assert_allclose(alone.total, alone.direct, rtol=1e-6)
    np.testing.assert_array_equal(alone.recurrent, -np.inf)


def test_total_agrees_with_the_other_instruments(rng):
    params, state, xs, cotangent = lstm_case(rng, 6)
    step = lambda state, x_t: lstm_step(params, state, x_t)
    run = jax.jit(lambda *a: adjoint_parts(step, step, *a))
    parts = run(state, xs, cotangent)
    logs = log_adjoint_norms(step, state, xs, cotangent)
    np.testing.assert_allclose(parts.total, logs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(parts.direct, logs, rtol=1e-5, atol=1e-5)

    def loss(params):
        final, _ = jax.lax.scan(lambda s, x: lstm_step(params, s, x), state, xs)
        pairs = zip(final, cotangent, strict=True)
        return sum(jnp.sum(a * b) for a, b in pairs)

    # A forget gate without weights is 1/2, and passes half of the tap's cotangent.
    others = (np.arange(4 * H) // H != 1).astype("f")
    same = jax.tree.map(lambda w: w * np.broadcast_to(others, w.shape), params)
    tapped = measure(loss, same).taps["c"].norm
    arriving = np.exp(lstm_parts(same, state, xs, cotangent).total)
    np.testing.assert_allclose(arriving[:-1], 0.5 * tapped[1:], rtol=1e-5)


def test_gru_direct_path_is_its_update_gate(rng):
    params = init_gru(jax.random.key(2), D, H)
    w_z, w_xz = params.w_hh[:, H : 2 * H], params.w_xh[:, H : 2 * H]
    h, cotangent = rng.normal(size=(2, H)).astype("f")
    xs = rng.normal(size=(7, D)).astype("f")
    step = lambda h, x_t: gru_step(params, h, x_t)
    z = lambda h, x_t: jax.nn.sigmoid(x_t @ w_xz + h @ w_z)
    direct = lambda h, x_t: (jax.lax.stop_gradient(z(h, x_t)) * h, None)
    parts = jax.jit(lambda *a: adjoint_parts(step, direct, *a))(h, xs, cotangent)
    jacobians, direct_jacobians = [], []
    for x_t in xs:
        jacobians.append(np.asarray(jax.jacobian(lambda h, x: step(h, x)[0])(h, x_t)))
        direct_jacobians.append(np.diag(z(h, x_t)))
        h = step(h, x_t)[0]
    total, along_z = oracle.adjoint_parts(jacobians, direct_jacobians, cotangent)
    for actual, vectors in zip(parts, (total, along_z, total - along_z), strict=True):
        norms = np.linalg.norm(vectors, axis=1)
        np.testing.assert_allclose(np.exp(actual), norms, rtol=1e-4, atol=1e-6)


def test_counters_resets_and_half_precision():
    def step(state, reset):
        h = jnp.where(reset, jnp.zeros_like(state["h"]), state["h"] / 2)
        return {"h": h, "count": state["count"] + 1}, None

    state = {"h": jnp.ones(4, jnp.bfloat16), "count": jnp.int32(0)}
    resets = jnp.array([False, True, False, False])
    parts = jax.jit(lambda s, xs: adjoint_parts(step, step, s, xs, s))(state, resets)
    expected = [-np.inf, *np.log([0.5, 1.0, 2.0])]
    np.testing.assert_allclose(parts.total, expected, rtol=1e-6)
    np.testing.assert_allclose(parts.direct, expected, rtol=1e-6)
    np.testing.assert_array_equal(parts.recurrent, -np.inf)
    assert parts.total.dtype == jnp.float32


def test_errors_name_the_argument():
    step = lambda h, x: (h, None)
    h, xs = jnp.ones(3), jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"`direct` returns a state of the shapes"):
        adjoint_parts(step, lambda h, x: (h[:2], None), h, xs, h)
    with pytest.raises(ValueError, match=r"`select` returns no floating-point array"):
        adjoint_parts(step, step, h, xs, h, select=lambda h: ())
    with pytest.raises(ValueError, match=r"`cotangent` has the shapes"):
        adjoint_parts(step, step, h, xs, jnp.ones(4))
