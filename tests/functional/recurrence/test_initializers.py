"""The rules that recurrent weights can start from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import (
    chrono_bias,
    identity_init,
    init_gru,
    init_lstm,
    init_rnn,
    rnn,
    uniform_init,
)


@pytest.mark.parametrize("init", [init_rnn, init_gru, init_lstm])
def test_uniform_fills_its_range(init):
    rule = uniform_init(25)
    key = jax.random.key(1)
    params = init(key, 7, 25, input_init=rule, recurrent_init=rule)
    for w in (params.w_xh, params.w_hh):
        assert 0.19 < jnp.max(w) <= 0.2 and -0.2 <= jnp.min(w) < -0.19
        np.testing.assert_allclose(jnp.std(w), 0.2 / np.sqrt(3), rtol=0.1)


def test_identity_keeps_a_positive_state():
    rule = identity_init()
    params = init_rnn(jax.random.key(0), 3, 4, recurrent_init=rule)
    start = jnp.array([[0.5, 1.0, 2.0, 0.0]])
    x = jnp.zeros((1, 6, 3))
    h, _ = rnn(params, x, start, activation=jax.nn.relu)
    np.testing.assert_array_equal(h, start)


def test_every_gate_has_its_own_identity():
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


def test_messages():
    with pytest.raises(ValueError, match="`longest` is 2; wanted at least 3"):
        chrono_bias(jax.random.key(0), 4, 2)
    with pytest.raises(ValueError, match="`hidden` is 0; wanted 1 or more"):
        uniform_init(0)
