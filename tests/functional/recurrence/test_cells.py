"""The simple recurrent network: the lecture's example, Flax, and messages."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.functional import (
    RNNParams,
    init_rnn,
    rnn,
    rnn_step,
)
from tests.cells import RNN
from tests.functional.recurrence.setup import as_float32, draw_params


# The lecture's matrices act on column vectors.
W_XH = [[0.3, 1.0, 0.1, 0.5], [-0.1, 0.3, -0.3, 0.1], [-0.1, 0.1, -0.5, -0.5]]
W_HH = [[0.1, 0.4, 0.8], [-0.1, 0.5, -0.2], [0.9, 0.2, 0.6]]


def test_the_lecture_reads_hell():
    w_xh, w_hh = np.asarray(W_XH, np.float32), np.asarray(W_HH, np.float32)
    letters = np.eye(4, dtype=np.float32)[[0, 1, 2, 2]]
    params = RNNParams(w_xh.T, w_hh.T, np.zeros(3, np.float32))
    _, ys = rnn(params, letters)
    np.testing.assert_allclose(ys[0], np.tanh([0.3, -0.1, -0.1]), rtol=1e-5)
    h = np.zeros(3)
    for letter, y in zip(letters, ys, strict=True):
        h = np.tanh(np.array(W_XH) @ letter + np.array(W_HH) @ h)
        np.testing.assert_allclose(y, h, rtol=1e-5)


def test_flax_cell_with_the_same_weights():
    cell: Any = nnx.SimpleCell(3, 2, rngs=nnx.Rngs(0))
    params = RNNParams(
        cell.dense_i.kernel[...], cell.dense_h.kernel[...], jnp.array([0.1, -0.2])
    )
    cell.dense_i.bias[...] = params.b
    x = jax.random.normal(jax.random.key(1), (2, 5, 3))
    with jax.numpy_rank_promotion("allow"):
        expected = nnx.RNN(cell, rngs=nnx.Rngs(0))(x)
    np.testing.assert_allclose(rnn(params, x)[1], expected, rtol=1e-5, atol=1e-6)


def test_flax_returns_the_last_state_for_length_zero():
    cell: Any = nnx.SimpleCell(3, 2, rngs=nnx.Rngs(0))
    params = RNNParams(cell.dense_i.kernel[...], cell.dense_h.kernel[...], jnp.zeros(2))
    x = jax.random.normal(jax.random.key(1), (2, 5, 3))
    lengths = jnp.array([5, 0])
    with jax.numpy_rank_promotion("allow"):
        flax = nnx.RNN(cell, return_carry=True, rngs=nnx.Rngs(0))
        theirs, _ = flax(x, seq_lengths=lengths)
    ours, _ = rnn(params, x, lengths=lengths)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    assert not np.any(ours[1]) and np.any(theirs[1])


def test_initial_weights_are_orthogonal_and_reproducible():
    params = init_rnn(jax.random.key(0), 5, 4)
    np.testing.assert_allclose(params.w_hh @ params.w_hh.T, np.eye(4), atol=1e-5)
    assert params.w_xh.shape == (5, 4) and not np.any(params.b)
    again = init_rnn(jax.random.key(0), 5, 4, dtype=jnp.bfloat16)
    assert again.w_hh.dtype == again.b.dtype == jnp.bfloat16
    np.testing.assert_allclose(again.w_hh.astype(jnp.float32), params.w_hh, atol=1e-2)
    with pytest.raises(ValueError, match="`hidden` is 0; wanted 1 or more"):
        init_rnn(jax.random.key(0), 5, 0)


def test_activation_is_applied(rng):
    params = as_float32(draw_params(RNN, rng))
    x = as_float32(rng.standard_normal((2, 3)))
    h, _ = rnn_step(params, np.zeros((2, 2), np.float32), x, activation=jax.nn.relu)
    np.testing.assert_allclose(h, np.maximum(x @ params.w_xh + params.b[None], 0), 1e-5)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"x": np.ones(3)},
            r"`x` has shape \(3,\); wanted \(\*batch, time, features\)",
        ),
        ({"x": np.ones((2, 5, 4))}, "`x` has 4 features .* `params.w_xh` has 3 rows"),
        ({"state": np.ones((3, 2))}, r"`state` has shape \(3, 2\); wanted \(2, 2\)"),
        (
            {"w_xh": np.ones(3)},
            r"`params.w_xh` has shape \(3,\); wanted two axes.*vmap",
        ),
        ({"w_hh": np.ones((2, 3))}, r"`params.w_hh` has shape \(2, 3\); wanted \(2, 2"),
        ({"b": np.ones(3)}, r"`params.b` has shape \(3,\); wanted \(2,\)"),
        ({"clip": 0.0}, "`clip` is 0.0; wanted a positive bound"),
    ],
)
def test_messages(changes, text, rng):
    params = draw_params(RNN, rng)
    x, state = changes.pop("x", np.ones((2, 5, 3))), changes.pop("state", None)
    clip = changes.pop("clip", None)
    with pytest.raises(ValueError, match=text):
        rnn(params._replace(**changes), x, state, clip=clip)


def test_messages_of_kinds_and_steps(rng):
    params, h = draw_params(RNN, rng), np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"`x_t` has 5 features .* has 3 rows"):
        rnn_step(params, h, np.ones((2, 5)))
    whole = RNNParams(*(np.ones(p.shape, int) for p in params))
    with pytest.raises(TypeError, match=r"dtype int32; wanted floating point"):
        rnn(whole, np.ones((2, 5, 3), int))
