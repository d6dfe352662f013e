"""Error messages of the recurrences: each names the argument and what is wanted."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.functional import recur


# The functions that are called are unwrapped; the fixture is for those that they call.
pytestmark = pytest.mark.usefixtures("unchecked_annotations")

# Without the type checks of jaxtyping, which tests enable but users may not.
rnn, gru, lstm = map(inspect.unwrap, (F.rnn, F.gru, F.lstm))
rnn_step, gru_step, lstm_step = map(
    inspect.unwrap, (F.rnn_step, F.gru_step, F.lstm_step)
)
bidirectional, init_rnn = map(inspect.unwrap, (F.bidirectional, F.init_rnn))
chrono_bias = inspect.unwrap(F.chrono_bias)
init_conv_lstm, init_lstm, init_min_lstm = map(
    inspect.unwrap, (F.init_conv_lstm, F.init_lstm, F.init_min_lstm)
)

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
def test_arguments_of_the_wrong_type(options, text):
    with pytest.raises(TypeError, match=text):
        rnn(**{"params": RNN, "x": X} | options)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"x": np.ones(3)},
            r"`x` has shape \(3,\); wanted \(\*batch, time, features\)",
        ),
        ({"x": np.ones((2, 5, 4))}, "`x` has 4 features .* `params.w_xh` has 3 rows"),
        ({"state": np.ones((3, 2))}, r"`state` has shape \(3, 2\); wanted \(2, 2\)"),
        ({"clip": 0.0}, "`clip` is 0.0; wanted a positive bound"),
    ],
)
def test_values_of_arguments(changes, text):
    with pytest.raises(ValueError, match=text):
        rnn(**{"params": RNN, "x": X} | changes)


@pytest.mark.parametrize(
    ("run", "params", "changes", "text"),
    [
        (rnn, RNN, {"w_xh": np.ones(3)}, r"`params.w_xh` has shape \(3,\);.*vmap"),
        (rnn, RNN, {"w_hh": np.ones((2, 3))}, r"`params.w_hh` .*; wanted \(2, 2\)"),
        (rnn, RNN, {"b": np.ones(3)}, r"`params.b` has shape \(3,\); wanted \(2,\)"),
        (gru, GRU, {"w_xh": np.ones((3, 5))}, "has 5 columns; .* of 3.* r, z, n"),
        (gru, GRU, {"w_hh": np.ones((3, 6))}, r"`params.w_hh` .*; wanted \(2, 6\)"),
        (gru, GRU, {"b_hn": np.ones(6)}, r"`params.b_hn` .* \(6,\); wanted \(2,\)"),
        (lstm, LSTM, {"w_xh": np.ones((3, 6))}, "has 6 columns; .* of 4.* i, f, g, o"),
        (lstm, LSTM, {"peephole": np.ones((4, 2))}, r"`params.peephole` .* \(4, 2\)"),
        (lstm, LSTM, {"w_hr": np.ones(2)}, r"`params.w_hr` .*; wanted \(H, P\)"),
        (lstm, LSTM, {"w_hr": np.ones((3, 2))}, r"`params.w_hr` .*; wanted \(2, 2\)"),
        (lstm, LSTM, {"w_hr": np.ones((2, 1))}, r"`params.w_hh` .*; wanted \(1, 8\)"),
    ],
)
def test_shapes_of_weights(run, params, changes, text):
    with pytest.raises(ValueError, match=text):
        run(params._replace(**changes), X)


def test_dtypes_and_arguments_of_steps():
    whole = RNN._replace(**{k: np.ones(v.shape, int) for k, v in RNN._asdict().items()})
    with pytest.raises(TypeError, match=r"dtype int32; wanted floating point"):
        rnn(whole, X.astype(int))
    with pytest.raises(ValueError, match=r"`x_t` has 5 features .* has 3 rows"):
        rnn_step(RNN, np.ones((2, 2)), np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"`params.b_hn` has shape \(6,\)"):
        gru_step(GRU._replace(b_hn=np.ones(6)), np.ones((2, 2)), X[:, 0])
    with pytest.raises(TypeError, match="`state` is of type ndarray; wanted LSTMState"):
        lstm_step(LSTM, np.ones((2, 2)), X[:, 0])


def test_shapes_of_an_lstm_state():
    ones = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"`state.h` has shape \(2, 3\); .* \(2, 2\)"):
        lstm(LSTM, X, F.LSTMState(np.ones((2, 3)), ones))
    with pytest.raises(ValueError, match=r"`state.c` has shape \(2,\); .* \(2, 2\)"):
        lstm(LSTM, X, F.LSTMState(ones, np.ones(2)))


def test_switches_of_the_wrong_type_and_params_of_another_cell():
    with pytest.raises(TypeError, match="`reset_after` is None; wanted True or False"):
        gru(GRU, X, reset_after=None)
    with pytest.raises(TypeError, match="`coupled_gates` is 2; wanted True or False"):
        lstm(LSTM, X, coupled_gates=2)
    with pytest.raises(TypeError, match="`params` is of type GRUParams; wanted LSTM"):
        lstm(GRU, X)


def test_traced_numbers_and_stacked_keys():
    with pytest.raises(TypeError, match="`clip` is traced; wanted a number that is kn"):
        jax.jit(lambda clip: rnn(RNN, X, clip=clip))(1.0)
    with pytest.raises(TypeError, match="`key` is several keys, an array of dtype key"):
        rnn(RNN, X, zoneout=0.5, key=jax.random.split(KEY))


def test_bidirectional():
    with pytest.raises(TypeError, match="`run` is None; wanted `rnn`, `gru`, `lstm`"):
        bidirectional(None, RNN, RNN, X)
    with pytest.raises(ValueError, match=r"`merge` is \['sum'\]; wanted one of"):
        bidirectional(rnn, RNN, RNN, X, merge=["sum"])
    with pytest.raises(ValueError, match="`merge` is 'sum', but the directions return"):
        bidirectional(rnn, RNN, F.init_rnn(KEY, 3, 5), X, merge="sum")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: init_rnn(KEY, 3, None), TypeError, "`hidden` is None; wanted an int"),
        (lambda: init_rnn(KEY, 3, 2, dtype="foo"), TypeError, "`dtype` is 'foo'; wan"),
        (lambda: chrono_bias(KEY, 2, 9, dtype=int), ValueError, "`dtype` is int"),
        (lambda: init_lstm(KEY, 3, 2, peephole=1), TypeError, "`peephole` is 1; want"),
        (lambda: init_lstm(KEY, 3, 2, forget_bias="a"), TypeError, "`forget_bias` is"),
        (
            lambda: init_min_lstm(KEY, 3, 2, forget_bias=None),
            TypeError,
            "`forget_bias` is of type NoneType; wanted",
        ),
        (
            lambda: init_conv_lstm(KEY, 3, 2, (3,), forget_bias="a"),
            TypeError,
            "`forget_bias` is of type str; wanted",
        ),
        (
            lambda: recur(lambda h, x: (h, h), "a", X),
            TypeError,
            "`state` is of type str; wanted an array",
        ),
        (
            lambda: recur(lambda h, x: (h, h), X[:, 0], "a"),
            TypeError,
            "`xs` is of type str; wanted an array",
        ),
        (
            lambda: rnn(RNN, X, activation=lambda a: (a, a)),
            TypeError,
            "`activation` returns a value of type tuple; wanted",
        ),
    ],
)
def test_arguments_that_jax_would_complain_of(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_initial_weights():
    with pytest.raises(TypeError, match=r"`hidden` is 2\.5; wanted an int"):
        init_rnn(KEY, 3, 2.5)
    with pytest.raises(TypeError, match="`key` is of type int; wanted one JAX random"):
        init_rnn(0, 3, 2)
    with pytest.raises(TypeError, match="`recurrent_init` is 'orthogonal'; wanted an"):
        init_rnn(KEY, 3, 2, recurrent_init="orthogonal")
    with pytest.raises(ValueError, match="`dtype` is int32; wanted floating point"):
        init_rnn(KEY, 3, 2, dtype=np.int32)
    with pytest.raises(ValueError, match="`hidden` is 0; wanted 1 or more"):
        init_rnn(KEY, 5, 0)
    with pytest.raises(ValueError, match="`hidden` is 0; wanted 1 or more"):
        F.uniform_init(0)
    with pytest.raises(ValueError, match="`longest` is 2; wanted at least 3"):
        F.chrono_bias(KEY, 4, 2)
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
    # Broadcasting would hide a gate of this shape.
    with pytest.raises(
        ValueError,
        match=rf"`{option}` returns shape \(2, 1\) for an input of shape \(2, 2\)",
    ):
        run(params, X, **{option: mean})


@pytest.mark.parametrize(
    ("step", "error", "text"),
    [
        (lambda h, x_t: h, TypeError, "`step` returns a value of type .*; wanted the"),
        (lambda h, x_t: (h, h, h), TypeError, "`step` returns a value of type tuple"),
        (lambda h, x_t: ((h, h), h), TypeError, r"of the structure PyTreeDef\(\(\*"),
        # With `lengths`, broadcasting would hide these.
        (lambda h, x_t: (h[:1], h), TypeError, r"an array of shape \(1, 3\) and"),
        (lambda h, x_t: (h, h.sum()), ValueError, r"an output of shape \(\); wanted"),
        (lambda h, x_t: (h.astype(jnp.bfloat16), h), TypeError, "dtype bfloat16; want"),
    ],
)
def test_values_that_a_step_returns(step, error, text):
    with pytest.raises(error, match=text):
        recur(step, jnp.zeros((2, 3)), jnp.ones((2, 4, 3)), lengths=np.array([4, 1]))
