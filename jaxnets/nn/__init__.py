"""Flax NNX modules over `jaxnets.functional`: they hold parameters and call it."""

from jaxnets.nn import recurrent
from jaxnets.nn.blocks.block import Block, PlainBlock, ResidualBlock
from jaxnets.nn.blocks.branch import ConvBranch
from jaxnets.nn.blocks.methods import block_options
from jaxnets.nn.blocks.parts import norm
from jaxnets.nn.blocks.stack import Stack
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
from jaxnets.nn.recurrent import *  # noqa: F403
from jaxnets.nn.shaped_pool import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    FractionalMaxPool,
    MaxUnpool,
)


__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "BatchNorm",
    "Block",
    "CausalConv",
    "Conv",
    "ConvBranch",
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
    "ResidualBlock",
    "SeparableConv",
    "Stack",
    "SumPool",
    "block_options",
    "norm",
]
# The layer of every recurrent cell.
__all__ += recurrent.__all__


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
