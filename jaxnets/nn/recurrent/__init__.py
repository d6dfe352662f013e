"""Recurrent layers as Flax NNX modules."""

from jaxnets.nn.recurrent.conv_lstm import ConvLSTM
from jaxnets.nn.recurrent.gru import GRU
from jaxnets.nn.recurrent.lstm import LSTM
from jaxnets.nn.recurrent.min_gru import MinGRU
from jaxnets.nn.recurrent.min_lstm import MinLSTM
from jaxnets.nn.recurrent.recurrent import Recurrent
from jaxnets.nn.recurrent.rnn import RNN


__all__ = ["GRU", "LSTM", "RNN", "ConvLSTM", "MinGRU", "MinLSTM", "Recurrent"]
