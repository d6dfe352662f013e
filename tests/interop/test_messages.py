"""Weights that cannot be converted are refused, with the reason."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import interop
from jaxnets.functional import init_gru, init_lstm, init_min_gru


KEY = jax.random.key(0)
LSTM = init_lstm(KEY, 3, 2)
GRU = init_gru(KEY, 3, 2)
PEEPHOLE = init_lstm(KEY, 3, 2, peephole=True)
PROJECTED = init_lstm(KEY, 3, 2, projection=1)
NOT_NARROWER = init_lstm(KEY, 3, 2, projection=2)
B_HN = GRU._replace(b_hn=jnp.ones(2))
TORCH = interop.to_pytorch([(LSTM,)])
(KERAS,) = interop.to_keras([(LSTM,)])
(FLAX,) = interop.to_flax([(LSTM,)], "linen.LSTMCell")
HAIKU = interop.to_haiku([(LSTM,)])
MATRIX = np.ones((5, 5), np.float32)


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (lambda layers: interop.to_pytorch(layers), "PyTorch"),
        (lambda layers: interop.to_flax(layers, "linen.LSTMCell"), "Flax"),
        (lambda layers: interop.to_keras(layers), "Keras"),
        (lambda layers: interop.to_haiku(layers), "Haiku"),
    ],
)
def test_every_library_refuses_what_it_does_not_support(write, text):
    with pytest.raises(ValueError, match=f"`peephole`, which {text} does not support"):
        write([(LSTM,), (PEEPHOLE,)])
    if text != "PyTorch":
        with pytest.raises(ValueError, match=f"`w_hr`, which {text} does not support"):
            write([(PROJECTED,)])
    with pytest.raises(ValueError, match="LSTMParams, GRUParams; wanted one type"):
        write([(LSTM,), (GRU,)])
    for wrong in ([], [LSTM], [(LSTM,) * 3], [(jnp.ones(2),)]):
        with pytest.raises(TypeError, match="wanted a list with one tuple per layer"):
            write(wrong)
    with pytest.raises(TypeError, match=f"has MinGRUParams, and {text} has no such"):
        write([(init_min_gru(KEY, 3, 2),)])
    with pytest.raises(ValueError, match=r"`params.w_hh` has shape \(5, 5\)"):
        write([(LSTM._replace(w_hh=MATRIX),)])


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (
            lambda: interop.to_pytorch([(NOT_NARROWER,)]),
            "`proj_size` is below `hidden_size`",
        ),
        (
            lambda: interop.to_pytorch([(LSTM, LSTM), (LSTM,)]),
            r"has \[2, 1\] directions; wanted the same number",
        ),
        (
            lambda: interop.to_pytorch([(LSTM,), (LSTM,)]),
            r"`weight_ih_l1` has shape \(8, 3\); wanted \(8, 2\)",
        ),
        (lambda: interop.to_pytorch([(LSTM,)], bias=False), "`bias` is False, but"),
        (lambda: interop.to_keras([(LSTM,)], use_bias=False), "`use_bias` is False"),
        (lambda: interop.to_flax([(B_HN,)], "nnx.GRUCell"), 'Use "linen.GRUCell"'),
        (lambda: interop.to_flax([(GRU,)], "nnx.LSTMCell"), "wanted LSTMParams for"),
        (lambda: interop.to_flax([(GRU,)], "GRUCell"), "wanted one of nnx.LSTMCell"),
        (lambda: interop.to_haiku([(GRU, GRU)]), "wanted one, as a core of Haiku"),
    ],
)
def test_weights_that_one_library_refuses(write, text):
    with pytest.raises(ValueError, match=text):
        write()


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (
            lambda: interop.from_pytorch(TORCH, "LSTM"),
            "`kind` is 'LSTM'; wanted \"rnn\"",
        ),
        (
            lambda: interop.from_pytorch(TORCH, "lstm", prefix="net."),
            r"has no net.weight_ih_l0, only \['bias_hh_l0'",
        ),
        (
            lambda: interop.from_pytorch(TORCH, "gru"),
            r"`weight_ih_l0` has shape \(8, 3\); wanted \(6, 3\), 3 gates of H = 2",
        ),
        (
            lambda: interop.from_pytorch(TORCH | {"weight_ih_l2": MATRIX}, "lstm"),
            r"1 layers and 1 directions: missing \[\], unknown \['weight_ih_l2'\]",
        ),
        (
            lambda: interop.from_pytorch(TORCH | {"weight_ih_l1": MATRIX}, "lstm"),
            r"missing \['bias_hh_l1', 'bias_ih_l1', 'weight_hh_l1'\]",
        ),
        (
            lambda: interop.from_pytorch(TORCH | {"weight_hh_l0": MATRIX[0]}, "lstm"),
            r"`weight_hh_l0` has shape \(5,\); wanted two axes",
        ),
        (
            lambda: interop.from_keras([KERAS[:1]], "lstm"),
            r"`weights\[0\]` has 1 arrays",
        ),
        (
            lambda: interop.from_keras([KERAS], "gru"),
            r"`weights\[0\]\[0\]` has shape \(3, 8\); wanted \(3, 6\), 3 gates",
        ),
        (
            lambda: interop.from_keras([[*KERAS, *KERAS[:2], KERAS[2][:3]]], "lstm"),
            r"`weights\[0\]\[5\]` has shape \(3,\); wanted \(8,\)",
        ),
        (
            lambda: interop.from_flax([FLAX], "nnx.LSTMCell"),
            r"`trees\[0\]`: missing \['if_'\], unknown \['if'\]",
        ),
        (
            lambda: interop.from_flax([FLAX["cell"] | {"hi": {}}], "linen.LSTMCell"),
            r"`trees\[0\].hi`: missing \['bias', 'kernel'\]",
        ),
        (
            lambda: interop.from_flax(
                [FLAX["cell"] | {"ii": {"kernel": MATRIX}}], "linen.LSTMCell"
            ),
            r"`trees\[0\].ii.kernel` has shape \(5, 5\); wanted \(5, 2\), for H = 2",
        ),
        (
            lambda: interop.from_haiku(HAIKU, "gru"),
            r"`params` has no gru, only \['lstm/linear'\]",
        ),
        (
            lambda: interop.from_haiku({"lstm/linear": {"w": MATRIX}}, "lstm"),
            r"`lstm/linear`: missing \['b'\]",
        ),
        (
            lambda: interop.from_haiku(
                {"lstm/linear": {"w": MATRIX, "b": MATRIX[0]}}, "lstm"
            ),
            r"`lstm/linear.w` has shape \(5, 5\); wanted \(5, 4\)",
        ),
        (
            lambda: interop.from_haiku({"vanilla_rnn/linear": {}}, "rnn"),
            r"The modules of `vanilla_rnn`: missing \['/linear_1'\]",
        ),
    ],
)
def test_weights_that_cannot_be_read(read, text):
    with pytest.raises(ValueError, match=text):
        read()


# Without types, since the calls are wrong on purpose.
UNTYPED: Any = interop


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: UNTYPED.from_keras([], "lstm"), ValueError, "`weights` is empty"),
        (lambda: UNTYPED.from_keras(None, "lstm"), TypeError, "`weights` is of type N"),
        (lambda: UNTYPED.from_keras({"a": 1}, "lstm"), TypeError, "`weights` is of"),
        (lambda: UNTYPED.from_keras([KERAS], ["lstm"]), ValueError, "`kind` is"),
        (
            lambda: UNTYPED.from_keras([["a", "b", "c"]], "lstm"),
            TypeError,
            r"`weights\[0\]\[0\]` is of type str; wanted an array",
        ),
        (lambda: UNTYPED.from_flax([], "nnx.GRUCell"), ValueError, "`trees` is empty"),
        (lambda: UNTYPED.from_flax(3, "nnx.GRUCell"), TypeError, "`trees` is of type"),
        (lambda: UNTYPED.from_flax([FLAX], None), ValueError, "`cell` is None"),
        (
            lambda: UNTYPED.from_flax([{"forward_rnn": 3}], "linen.LSTMCell"),
            TypeError,
            r"`trees\[0\].forward_rnn` is of type int; wanted a dict",
        ),
        (
            lambda: UNTYPED.from_flax([FLAX["cell"] | {"ii": 3}], "linen.LSTMCell"),
            TypeError,
            r"`trees\[0\].ii` is of type int; wanted a dict",
        ),
        (lambda: UNTYPED.from_haiku([], "lstm"), TypeError, "`params` is of type list"),
        (
            lambda: UNTYPED.from_haiku({"lstm/linear": 3}, "lstm"),
            TypeError,
            "`lstm/linear` is of type int; wanted a dict",
        ),
        (lambda: UNTYPED.from_haiku(HAIKU, "lstm", name=3), TypeError, "`name` is 3"),
        (lambda: UNTYPED.from_pytorch([], "lstm"), TypeError, "`state_dict` is of"),
        (
            lambda: UNTYPED.from_pytorch(TORCH, "lstm", prefix=3),
            TypeError,
            "`prefix` is 3",
        ),
        (lambda: UNTYPED.to_pytorch(None), TypeError, "`layers` is of type NoneType"),
        (lambda: UNTYPED.to_keras(3), TypeError, "`layers` is of type int; wanted"),
        (lambda: UNTYPED.to_haiku({"a": 1}), TypeError, "`layers` is a dict of str"),
        (lambda: UNTYPED.to_pytorch([(LSTM,)], bias=1), TypeError, "`bias` is 1"),
        (lambda: UNTYPED.to_keras([(LSTM,)], use_bias=1), TypeError, "`use_bias` is"),
        (lambda: UNTYPED.to_keras([(GRU,)], reset_after=1), TypeError, "`reset_after`"),
    ],
)
def test_arguments_of_a_wrong_type(call, kind, text, unchecked_annotations):
    with pytest.raises(kind, match=text):
        call()


def test_a_single_layer_must_be_in_a_list():
    with pytest.raises(TypeError, match=r"single layer as \[layer.get_weights\(\)\]"):
        interop.from_keras(KERAS, "lstm")
    with pytest.raises(TypeError, match=r"single layer as \[tree\]"):
        interop.from_flax([[FLAX]], "linen.LSTMCell")
