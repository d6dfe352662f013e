"""Long short-term memory: Flax, initial weights, and messages."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.functional import (
    LSTMParams,
    LSTMState,
    init_lstm,
    lstm,
    lstm_step,
)
from tests.cells import LSTM
from tests.functional.recurrence.setup import as_float32, draw_params


def test_flax_cell_with_the_same_weights(rng):
    cell: Any = nnx.LSTMCell(3, 2, rngs=nnx.Rngs(0))
    bias = jnp.asarray(rng.standard_normal((4, 2)), jnp.float32)
    for gate, b in zip((cell.hi, cell.hf, cell.hg, cell.ho), bias, strict=True):
        gate.bias[...] = b
    inputs, states = (
        jnp.concatenate([gate.kernel[...] for gate in gates], axis=1)
        for gates in (
            (cell.ii, cell.if_, cell.ig, cell.io),
            (cell.hi, cell.hf, cell.hg, cell.ho),
        )
    )
    x = jax.random.normal(jax.random.key(1), (2, 5, 3))
    lengths = jnp.array([5, 3])
    with jax.numpy_rank_promotion("allow"):
        flax: Any = nnx.RNN(cell, return_carry=True, rngs=nnx.Rngs(0))
        (c, h), expected = flax(x, seq_lengths=lengths)
    state, ys = lstm(LSTMParams(inputs, states, bias.reshape(8)), x, lengths=lengths)
    np.testing.assert_allclose(state.h, h, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.c, c, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ys[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ys[1, :3], expected[1, :3], rtol=1e-5, atol=1e-6)


def test_initial_weights():
    params = init_lstm(jax.random.key(0), 5, 4, forget_bias=2.0)
    for block in jnp.split(params.w_hh, 4, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(4), atol=1e-5)
    np.testing.assert_array_equal(params.b, np.repeat([0.0, 2.0, 0.0, 0.0], 4))
    assert params.peephole is None and params.w_hr is None
    extras: Any = init_lstm(jax.random.key(0), 5, 4, peephole=True, projection=3)
    shapes = [extras.w_hh.shape, extras.peephole.shape, extras.w_hr.shape]
    assert shapes == [(3, 16), (3, 4), (4, 3)]
    state, ys = lstm(extras, jnp.ones((2, 6, 5)))
    assert (state.h.shape, state.c.shape, ys.shape) == ((2, 3), (2, 4), (2, 6, 3))


def test_activations_have_their_places(rng):
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


def test_seeds_go_through_vmap():
    keys = jax.random.split(jax.random.key(0), 3)
    stacked = jax.vmap(lambda key: init_lstm(key, 3, 2))(keys)
    x = jax.random.normal(jax.random.key(1), (2, 5, 3))
    ys = jax.vmap(lambda params: lstm(params, x)[1])(stacked)
    one = jax.tree.map(lambda leaf: leaf[1], stacked)
    np.testing.assert_allclose(ys[1], lstm(one, x)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"w_xh": np.ones((3, 6))},
            "has 6 columns; wanted a multiple of 4.*i, f, g, o",
        ),
        (
            {"peephole": np.ones((4, 2))},
            r"`params.peephole` has shape \(4, 2\); wanted",
        ),
        ({"w_hr": np.ones(2)}, r"`params.w_hr` has shape \(2,\); wanted \(H, P\)"),
        ({"w_hr": np.ones((3, 2))}, r"`params.w_hr` has shape \(3, 2\); wanted \(2, 2"),
        ({"w_hr": np.ones((2, 1))}, r"`params.w_hh` has shape \(2, 8\); wanted \(1, 8"),
    ],
)
def test_messages_of_weights(changes, text, rng):
    with pytest.raises(ValueError, match=text):
        lstm(draw_params(LSTM, rng)._replace(**changes), np.ones((2, 5, 3)))


def test_messages_of_states(rng):
    params, x = draw_params(LSTM, rng), np.ones((2, 5, 3))
    with pytest.raises(
        ValueError, match=r"`state.h` has shape \(2, 3\); wanted \(2, 2"
    ):
        lstm(params, x, LSTMState(np.ones((2, 3)), np.ones((2, 2))))
    with pytest.raises(
        ValueError, match=r"`state.c` has shape \(2,\); wanted \(2, 2\)"
    ):
        lstm(params, x, LSTMState(np.ones((2, 2)), np.ones(2)))
    with pytest.raises(TypeError, match="state"):
        lstm_step(params, np.ones((2, 2)), x[:, 0])  # pyright: ignore
