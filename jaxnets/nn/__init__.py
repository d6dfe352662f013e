"""Flax NNX modules over `jaxnets.functional`: they hold parameters and call it."""

from jaxnets.nn.blocks import ConvBranch as ConvBranch
from jaxnets.nn.blocks import PlainBlock as PlainBlock
from jaxnets.nn.blocks import ResidualBlock as ResidualBlock
from jaxnets.nn.blocks import Stack as Stack
from jaxnets.nn.blocks import norm as norm
from jaxnets.nn.conv import Conv as Conv
from jaxnets.nn.pool import AvgPool as AvgPool
from jaxnets.nn.pool import Flatten as Flatten
from jaxnets.nn.pool import GlobalAvgPool as GlobalAvgPool
from jaxnets.nn.pool import GlobalMaxPool as GlobalMaxPool
from jaxnets.nn.pool import GlobalSumPool as GlobalSumPool
from jaxnets.nn.pool import MaxPool as MaxPool
from jaxnets.nn.pool import SumPool as SumPool
from jaxnets.nn.recurrent import GRU as GRU
from jaxnets.nn.recurrent import LSTM as LSTM
from jaxnets.nn.recurrent import RNN as RNN
