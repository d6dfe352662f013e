"""`bidirectional`: values, lengths, merges, random draws, and error messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import LSTMState, bidirectional, gru, lstm, rnn
from tests.cells import GRU, LSTM, RNN
from tests.functional.recurrence.setup import as_float32, draw_params, draw_state
from tests.oracles import recurrent as oracle


@pytest.mark.parametrize("time_major", [False, True])
def test_both_directions_against_plain_loops(time_major, rng):
    forward, backward = draw_params(LSTM, rng), draw_params(LSTM, rng)
    x, lengths = rng.standard_normal((3, 5, 3)), np.array([5, 0, 3])
    states = draw_state(LSTM, rng, (3,)), draw_state(LSTM, rng, (3,))
    run = lambda params, state, **o: oracle.run(
        oracle.lstm_step, params, x, state, lengths=lengths, **o
    )
    expected_forward, ys_forward = run(forward, states[0])
    expected_backward, ys_backward = run(backward, states[1], reverse=True)
    with jax.enable_x64(True):
        given = np.moveaxis(x, 1, 0) if time_major else x
        (state, backward_state), ys = bidirectional(
            lstm,
            forward,
            backward,
            given,
            state=states,
            lengths=lengths,
            time_major=time_major,
        )
    expected = np.concatenate([ys_forward, ys_backward], -1)
    if time_major:
        expected = np.moveaxis(expected, 1, 0)
    np.testing.assert_allclose(ys, expected, atol=1e-12)
    for actual, wanted in (
        (state, expected_forward),
        (backward_state, expected_backward),
    ):
        assert isinstance(actual, LSTMState)
        jax.tree.map(
            lambda a, e: np.testing.assert_allclose(a, e, atol=1e-12),
            tuple(actual),
            tuple(wanted),
        )


def test_merge_combines_the_outputs(rng):
    forward_params, backward_params, x = as_float32(
        (draw_params(GRU, rng), draw_params(GRU, rng), rng.standard_normal((2, 4, 3)))
    )
    forward, backward = (
        gru(forward_params, x)[1],
        gru(backward_params, x, reverse=True)[1],
    )
    expected = {
        "sum": forward + backward,
        "mul": forward * backward,
        "ave": (forward + backward) / 2,
        "concat": jnp.concatenate([forward, backward], -1),
        None: (forward, backward),
    }
    for merge, wanted in expected.items():
        ys = bidirectional(gru, forward_params, backward_params, x, merge=merge)[1]
        jax.tree.map(np.testing.assert_array_equal, ys, wanted)


def test_each_direction_has_its_own_random_draws(rng):
    params, x = as_float32((draw_params(RNN, rng), np.zeros((1, 64, 3))))
    pair = bidirectional(
        rnn, params, params, x, merge=None, zoneout=0.5, key=jax.random.key(0)
    )[1]
    assert not np.allclose(pair[0], np.flip(pair[1], 1))


def test_error_messages(rng):
    params, x = draw_params(RNN, rng), np.ones((2, 4, 3))
    with pytest.raises(ValueError, match="`merge` is 'max'; wanted one of 'concat', "):
        bidirectional(rnn, params, params, x, merge="max")
    with pytest.raises(ValueError, match="`reverse` is not supported"):
        bidirectional(rnn, params, params, x, reverse=True)
    with pytest.raises(TypeError, match="wanted a pair of states"):
        bidirectional(rnn, params, params, x, state=np.ones((2, 2)))  # pyright: ignore
