"""Modules reject wrong arguments with errors that say what is wanted."""

import inspect

import numpy as np
import pytest
from flax import nnx

from jaxnets import nn
from jaxnets.nn.options import stream
from jaxnets.nn.parameters import bias_or_none


X = np.ones((2, 5, 3), np.float32)


MODULES = {
    "Conv": lambda rngs: nn.Conv(3, 4, (3,), rngs=rngs),
    "ConvTranspose": lambda rngs: nn.ConvTranspose(3, 4, (3,), rngs=rngs),
    "CausalConv": lambda rngs: nn.CausalConv(3, 4, 3, rngs=rngs),
    "DepthwiseConv": lambda rngs: nn.DepthwiseConv(3, (3,), rngs=rngs),
    "SeparableConv": lambda rngs: nn.SeparableConv(3, 4, (3,), rngs=rngs),
    "BatchNorm": lambda rngs: nn.BatchNorm(3, rngs=rngs),
    "RNN": lambda rngs: nn.RNN(3, 4, rngs=rngs),
    "GRU": lambda rngs: nn.GRU(3, 4, rngs=rngs),
    "LSTM": lambda rngs: nn.LSTM(3, 4, rngs=rngs),
    "ConvLSTM": lambda rngs: nn.ConvLSTM(3, 4, (3,), rngs=rngs),
    "Stack": lambda rngs: nn.Stack(lambda r: nn.RNN(3, 3, rngs=r), 2, rngs=rngs),
}


@pytest.mark.parametrize("name", MODULES)
def test_random_streams_are_named(name):
    with pytest.raises(ValueError, match=r"streams \['dropout'\] and no `params`"):
        MODULES[name](nnx.Rngs(dropout=0))


@pytest.mark.parametrize("rngs", [0, None])
def test_a_seed_is_not_accepted_as_rngs(rngs):
    with pytest.raises(TypeError, match=r"wanted random streams: `nnx.Rngs\(0\)`"):
        stream(rngs, "params")


def test_dropout_needs_its_own_stream():
    with pytest.raises(ValueError, match="and no `dropout`"):
        nn.LSTM(3, 4, num_layers=2, dropout=0.5, rngs=nnx.Rngs(params=0))


def test_switches_are_bools():
    # Unwrapped, because under pytest a type checker would raise first.
    make = inspect.unwrap(bias_or_none)
    with pytest.raises(TypeError, match="`use_bias` is 'no'; wanted True or False"):
        make("no", nnx.initializers.zeros_init(), 4, np.float32, nnx.Rngs(0))


def test_features_are_checked_if_the_cell_declares_them():
    layer = nn.Recurrent(nnx.LSTMCell(5, 4, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"`x` has 3 features .* `in_features` = 5"):
        layer(X)


@pytest.mark.parametrize("layers", [3, [3], None])
def test_weights_of_layers_are_a_list_of_tuples(layers):
    layer = nn.LSTM(3, 4, rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match="wanted a list with one tuple of parameters"):
        layer.set_layer_params(layers)
