"""Flax NNX modules over `jaxnets.functional`: they hold parameters and call it."""

from jaxnets.nn.blocks import ConvBranch, PlainBlock, ResidualBlock, Stack, norm
from jaxnets.nn.convolution import CausalConv, Conv, ConvTranspose
from jaxnets.nn.depthwise import DepthwiseConv, SeparableConv
from jaxnets.nn.global_pool import Flatten, GlobalAvgPool, GlobalMaxPool, GlobalSumPool
from jaxnets.nn.normalization import BatchNorm
from jaxnets.nn.pool import (
    AvgPool,
    LogSumExpPool,
    LpPool,
    MaxPool,
    MaxPoolWithIndices,
    SumPool,
)
from jaxnets.nn.recurrent.conv_lstm import ConvLSTM
from jaxnets.nn.recurrent.gru import GRU
from jaxnets.nn.recurrent.lstm import LSTM
from jaxnets.nn.recurrent.recurrent import Recurrent
from jaxnets.nn.recurrent.rnn import RNN
from jaxnets.nn.shaped_pool import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    FractionalMaxPool,
    MaxUnpool,
)


__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "BatchNorm",
    "CausalConv",
    "Conv",
    "ConvBranch",
    "ConvLSTM",
    "ConvTranspose",
    "DepthwiseConv",
    "Flatten",
    "FractionalMaxPool",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GlobalSumPool",
    "LogSumExpPool",
    "LpPool",
    "MaxPool",
    "MaxPoolWithIndices",
    "MaxUnpool",
    "PlainBlock",
    "Recurrent",
    "ResidualBlock",
    "SeparableConv",
    "Stack",
    "SumPool",
    "norm",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
