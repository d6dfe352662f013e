"""RNN, GRU and LSTM: the cells of Flax, activations, and initial weights.

`test_oracle.py` compares all cells with plain loops in NumPy.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.functional import (
    GRUParams,
    LSTMParams,
    LSTMState,
    RNNParams,
    chrono_bias,
    gru,
    identity_init,
    init_gru,
    init_lstm,
    init_rnn,
    lstm,
    lstm_step,
    rnn,
    rnn_step,
    uniform_init,
)
from tests.cells import GRU, LSTM, RNN
from tests.functional.recurrence.setup import as_float32, draw_params


def random_inputs():
    return jax.random.normal(jax.random.key(1), (2, 5, 3))


def run_flax(cell, x, **options) -> Any:
    with jax.numpy_rank_promotion("allow"):
        return nnx.RNN(cell, return_carry=True, rngs=nnx.Rngs(0))(x, **options)


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


# The lecture's matrices multiply column vectors.
W_XH = [[0.3, 1.0, 0.1, 0.5], [-0.1, 0.3, -0.3, 0.1], [-0.1, 0.1, -0.5, -0.5]]
W_HH = [[0.1, 0.4, 0.8], [-0.1, 0.5, -0.2], [0.9, 0.2, 0.6]]


def test_rnn_computes_the_lecture_example_hell():
    w_xh, w_hh = np.asarray(W_XH, np.float32), np.asarray(W_HH, np.float32)
    letters = np.eye(4, dtype=np.float32)[[0, 1, 2, 2]]
    params = RNNParams(w_xh.T, w_hh.T, np.zeros(3, np.float32))
    _, ys = rnn(params, letters)
    np.testing.assert_allclose(ys[0], np.tanh([0.3, -0.1, -0.1]), rtol=1e-5)
    h = np.zeros(3)
    for letter, y in zip(letters, ys, strict=True):
        h = np.tanh(np.array(W_XH) @ letter + np.array(W_HH) @ h)
        np.testing.assert_allclose(y, h, rtol=1e-5)


def simple_cell_with_bias():
    """A `SimpleCell` of Flax with a bias that is not zero, and its parameters."""
    cell: Any = nnx.SimpleCell(3, 2, rngs=nnx.Rngs(0))
    b = jnp.array([0.1, -0.2])
    cell.dense_i.bias[...] = b
    return cell, RNNParams(cell.dense_i.kernel[...], cell.dense_h.kernel[...], b)


def test_rnn_computes_the_same_as_simple_cell():
    (cell, params), x = simple_cell_with_bias(), random_inputs()
    assert_close(rnn(params, x)[1], run_flax(cell, x)[1])


def test_flax_returns_the_last_state_for_length_zero():
    (cell, params), x = simple_cell_with_bias(), random_inputs()
    lengths = jnp.array([5, 0])
    theirs, _ = run_flax(cell, x, seq_lengths=lengths)
    ours, _ = rnn(params, x, lengths=lengths)
    assert_close(ours[0], theirs[0])
    assert not np.any(ours[1]) and np.any(theirs[1])


def test_gru_computes_the_same_as_gru_cell_without_b_hn(rng):
    cell: Any = nnx.GRUCell(3, 2, rngs=nnx.Rngs(0))
    assert cell.dense_h.bias is None
    b = jnp.asarray(rng.standard_normal(6), jnp.float32)
    cell.dense_i.bias[...] = b
    params = GRUParams(cell.dense_i.kernel[...], cell.dense_h.kernel[...], b)
    x = random_inputs()
    _, expected = run_flax(cell, x)
    assert_close(gru(params, x)[1], expected)
    # No weights of Flax's cell give the same as a `b_hn` that is not zero.
    other = gru(params._replace(b_hn=jnp.ones(2)), x)[1]
    assert np.max(np.abs(other - expected)) > 0.05


def test_lstm_computes_the_same_as_lstm_cell(rng):
    cell: Any = nnx.LSTMCell(3, 2, rngs=nnx.Rngs(0))
    bias = jnp.asarray(rng.standard_normal((4, 2)), jnp.float32)
    for gate, b in zip((cell.hi, cell.hf, cell.hg, cell.ho), bias, strict=True):
        gate.bias[...] = b
    w_xh, w_hh = (
        jnp.concatenate([gate.kernel[...] for gate in gates], axis=1)
        for gates in (
            (cell.ii, cell.if_, cell.ig, cell.io),
            (cell.hi, cell.hf, cell.hg, cell.ho),
        )
    )
    x, lengths = random_inputs(), jnp.array([5, 3])
    (c, h), expected = run_flax(cell, x, seq_lengths=lengths)
    state, ys = lstm(LSTMParams(w_xh, w_hh, bias.reshape(8)), x, lengths=lengths)
    assert_close(state, (h, c))
    assert_close(ys[0], expected[0])
    assert_close(ys[1, :3], expected[1, :3])


def test_both_forms_of_the_reset_differ_but_not_if_r_is_one(rng):
    params = as_float32(draw_params(GRU, rng))
    x = as_float32(rng.standard_normal((2, 5, 3)))
    after, before = (gru(params, x, reset_after=form)[1] for form in (True, False))
    assert np.max(np.abs(after - before)) > 1e-3
    with_ones = [
        gru(params, x, reset_after=form, gate_activation=jnp.ones_like)[1]
        for form in (True, False)
    ]
    np.testing.assert_allclose(*with_ones, rtol=1e-5)


def test_rnn_applies_its_activation(rng):
    params = as_float32(draw_params(RNN, rng))
    x = as_float32(rng.standard_normal((2, 3)))
    h, _ = rnn_step(params, np.zeros((2, 2), np.float32), x, activation=jax.nn.relu)
    np.testing.assert_allclose(h, np.maximum(x @ params.w_xh + params.b[None], 0), 1e-5)


def test_lstm_applies_each_activation_to_its_argument(rng):
    params = as_float32(draw_params(LSTM, rng))
    state = LSTMState(*as_float32(rng.standard_normal((2, 1, 2))))
    x = as_float32(rng.standard_normal((1, 3)))
    actual, _ = lstm_step(
        params,
        state,
        x,
        activation=jax.nn.relu,
        gate_activation=jnp.ones_like,
        output_activation=jnp.sin,
    )
    a_g = (x @ params.w_xh + state.h @ params.w_hh + params.b[None])[:, 4:6]
    c = state.c + np.maximum(a_g, 0)
    np.testing.assert_allclose(actual.c, c, rtol=1e-5)
    np.testing.assert_allclose(actual.h, np.sin(c), rtol=1e-5)


def test_vmap_runs_parameters_that_are_stacked_over_seeds():
    keys = jax.random.split(jax.random.key(0), 3)
    stacked = jax.vmap(lambda key: init_lstm(key, 3, 2))(keys)
    x = random_inputs()
    ys = jax.vmap(lambda params: lstm(params, x)[1])(stacked)
    one = jax.tree.map(lambda leaf: leaf[1], stacked)
    assert_close(ys[1], lstm(one, x)[1])


@pytest.mark.parametrize(
    ("init", "gates"), [(init_rnn, 1), (init_gru, 3), (init_lstm, 4)]
)
def test_initial_weights_are_orthogonal_for_each_gate(init, gates):
    params = init(jax.random.key(0), 5, 4)
    for block in jnp.split(params.w_hh, gates, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(4), atol=1e-5)
    assert params.w_xh.shape == (5, 4 * gates)
    same_key = init(jax.random.key(0), 5, 4, dtype=jnp.bfloat16)
    assert {a.dtype for a in jax.tree.leaves(same_key)} == {jnp.dtype("bfloat16")}
    rounded = same_key.w_hh.astype(jnp.float32)
    np.testing.assert_allclose(rounded, params.w_hh, atol=1e-2)


def test_initial_biases_and_shapes():
    assert not np.any(init_rnn(jax.random.key(0), 5, 4).b)
    gru_params: Any = init_gru(jax.random.key(0), 5, 4)
    assert gru_params.b.shape == (12,) and gru_params.b_hn.shape == (4,)
    assert not np.any(gru_params.b) and not np.any(gru_params.b_hn)
    params = init_lstm(jax.random.key(0), 5, 4, forget_bias=2.0)
    np.testing.assert_array_equal(params.b, np.repeat([0.0, 2.0, 0.0, 0.0], 4))
    assert params.peephole is None and params.w_hr is None
    extras: Any = init_lstm(jax.random.key(0), 5, 4, peephole=True, projection=3)
    shapes = [extras.w_hh.shape, extras.peephole.shape, extras.w_hr.shape]
    assert shapes == [(3, 16), (3, 4), (4, 3)]
    state, ys = lstm(extras, jnp.ones((2, 6, 5)))
    assert (state.h.shape, state.c.shape, ys.shape) == ((2, 3), (2, 4), (2, 6, 3))


@pytest.mark.parametrize("init", [init_rnn, init_gru, init_lstm])
def test_uniform_init_has_the_bound_and_the_variance(init):
    uniform = uniform_init(25)
    key = jax.random.key(1)
    params = init(key, 7, 25, input_init=uniform, recurrent_init=uniform)
    for w in (params.w_xh, params.w_hh):
        assert 0.19 < jnp.max(w) <= 0.2 and -0.2 <= jnp.min(w) < -0.19
        np.testing.assert_allclose(jnp.std(w), 0.2 / np.sqrt(3), rtol=0.1)


def test_identity_init_preserves_a_positive_state():
    params = init_rnn(jax.random.key(0), 3, 4, recurrent_init=identity_init())
    start = jnp.array([[0.5, 1.0, 2.0, 0.0]])
    h, _ = rnn(params, jnp.zeros((1, 6, 3)), start, activation=jax.nn.relu)
    np.testing.assert_array_equal(h, start)


def test_identity_init_gives_each_gate_an_identity():
    params = init_gru(jax.random.key(0), 3, 2, recurrent_init=identity_init(0.5))
    np.testing.assert_array_equal(params.w_hh, np.tile(0.5 * np.eye(2), 3))


def test_chrono_biases_cover_the_time_scales():
    b = chrono_bias(jax.random.key(0), 4000, 50)
    b_i, b_f, b_g, b_o = np.split(np.asarray(b), 4)
    np.testing.assert_array_equal(b_i, -b_f)
    assert not b_g.any() and not b_o.any()
    steps = np.exp(b_f)
    assert 1.0 <= steps.min() < 1.1 and 48.9 < steps.max() <= 49.001
    np.testing.assert_allclose(steps.mean(), 25.0, rtol=0.05)
