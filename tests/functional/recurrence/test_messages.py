"""Recurrences refuse what is none of their arguments, and say what they want."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.functional import recur


# As users call them: here a type checker, which users need not have, would be first.
rnn, gru, lstm = map(inspect.unwrap, (F.rnn, F.gru, F.lstm))
bidirectional, init_rnn = map(inspect.unwrap, (F.bidirectional, F.init_rnn))
init_conv_lstm = inspect.unwrap(F.init_conv_lstm)

KEY = jax.random.key(0)
X = np.ones((2, 4, 3), np.float32)
RNN, GRU, LSTM = (f(KEY, 3, 2) for f in (F.init_rnn, F.init_gru, F.init_lstm))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"zoneout": (0.1, 0.2)}, r"`zoneout` is \(0\.1, 0\.2\); wanted a probability"),
        (
            {"recurrent_dropout": None},
            r"is None; wanted a probability.*the mask",
        ),
        ({"clip": "a"}, "`clip` is 'a'; wanted a positive bound of the pre-act"),
        (
            {"clip_cotangent": np.ones(2)},
            r"`clip_cotangent` is array\(.*; wanted a p",
        ),
        ({"zoneout": 0.1, "key": 3}, "`key` is of type int; wanted one JAX random key"),
        ({"reverse": "yes"}, "`reverse` is 'yes'; wanted True or False"),
        (
            {"state": (1, 2)},
            r"`state` is of type tuple; wanted an array of shape",
        ),
        ({"activation": "tanh"}, "`activation` is 'tanh'; wanted a function of arrays"),
        ({"params": LSTM}, "`params` is of type LSTMParams; wanted RNNParams"),
        ({"params": tuple(RNN)}, "`params` is of type tuple; wanted RNNParams"),
        ({"params": RNN._replace(b=None)}, "`params.b` is of type NoneType; wanted an"),
        ({"x": X.tolist()}, "`x` is of type list; wanted an array of numbers"),
    ],
)
def test_arguments_of_the_wrong_kind(options, text):
    with pytest.raises(TypeError, match=text):
        rnn(**{"params": RNN, "x": X} | options)


def test_switches_of_cells_and_weights_of_another_kind():
    with pytest.raises(TypeError, match="`reset_after` is None; wanted True or False"):
        gru(GRU, X, reset_after=None)
    with pytest.raises(TypeError, match="`coupled_gates` is 2; wanted True or False"):
        lstm(LSTM, X, coupled_gates=2)
    with pytest.raises(TypeError, match="`params` is of type GRUParams; wanted LSTM"):
        lstm(GRU, X)


def test_what_jax_traces_or_stacks():
    with pytest.raises(TypeError, match="`clip` is traced; wanted a number that is kn"):
        jax.jit(lambda clip: rnn(RNN, X, clip=clip))(1.0)
    with pytest.raises(TypeError, match="`key` is several keys, an array of dtype key"):
        rnn(RNN, X, zoneout=0.5, key=jax.random.split(KEY))


def test_both_directions():
    with pytest.raises(TypeError, match="`run` is None; wanted `rnn`, `gru`, `lstm`"):
        bidirectional(None, RNN, RNN, X)
    with pytest.raises(ValueError, match=r"`merge` is \['sum'\]; wanted one of"):
        bidirectional(rnn, RNN, RNN, X, merge=["sum"])
    with pytest.raises(ValueError, match="`merge` is 'sum', but the directions return"):
        bidirectional(rnn, RNN, F.init_rnn(KEY, 3, 5), X, merge="sum")


def test_initial_weights():
    with pytest.raises(TypeError, match=r"`hidden` is 2\.5; wanted an int"):
        init_rnn(KEY, 3, 2.5)
    with pytest.raises(TypeError, match="`key` is of type int; wanted one JAX random"):
        init_rnn(0, 3, 2)
    with pytest.raises(TypeError, match="`recurrent_init` is 'orthogonal'; wanted an"):
        init_rnn(KEY, 3, 2, recurrent_init="orthogonal")
    with pytest.raises(ValueError, match="`dtype` is int32; wanted floating point"):
        init_rnn(KEY, 3, 2, dtype=np.int32)
    with pytest.raises(TypeError, match="`kernel_size` is 3; wanted one int for each"):
        init_conv_lstm(KEY, 3, 2, 3)
    with pytest.raises(
        TypeError, match=r"`scale` is .*; wanted the number on the diag"
    ):
        inspect.unwrap(F.identity_init)(np.ones(3))


@pytest.mark.parametrize(
    ("run", "params", "option"),
    [
        (rnn, RNN, "activation"),
        (gru, GRU, "activation"),
        (gru, GRU, "gate_activation"),
        (lstm, LSTM, "activation"),
        (lstm, LSTM, "gate_activation"),
        (lstm, LSTM, "output_activation"),
    ],
)
def test_activations_are_elementwise(run, params, option):
    mean = lambda a: a.mean(-1, keepdims=True)
    # A gate of this shape would be stretched to fit.
    with pytest.raises(
        ValueError, match=rf"`{option}` made shape \(2, 1\) of \(2, 2\)"
    ):
        run(params, X, **{option: mean})


@pytest.mark.parametrize(
    ("step", "error", "text"),
    [
        (lambda h, x_t: h, TypeError, "`step` returns a value of type .*; wanted the"),
        (lambda h, x_t: (h, h, h), TypeError, "`step` returns a value of type tuple"),
        (lambda h, x_t: ((h, h), h), TypeError, r"of the structure PyTreeDef\(\(\*"),
        # Without the check these would be stretched to fit, where there are lengths.
        (lambda h, x_t: (h[:1], h), TypeError, r"an array of shape \(1, 3\) and"),
        (lambda h, x_t: (h, h.sum()), ValueError, r"an output of shape \(\); wanted"),
        (lambda h, x_t: (h.astype(jnp.bfloat16), h), TypeError, "dtype bfloat16; want"),
    ],
)
def test_messages_of_what_a_step_returns(step, error, text):
    with pytest.raises(error, match=text):
        recur(step, jnp.zeros((2, 3)), jnp.ones((2, 4, 3)), lengths=np.array([4, 1]))
