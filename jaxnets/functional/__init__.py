"""Convolution, pooling and recurrence as pure functions of arrays."""

from jaxnets.functional.convolution.causal import causal_conv
from jaxnets.functional.convolution.depthwise import depthwise_conv, separable_conv
from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.transposed import conv_transpose
from jaxnets.functional.normalization import batch_norm
from jaxnets.functional.pooling.adaptive import adaptive_avg_pool, adaptive_max_pool
from jaxnets.functional.pooling.fractional import fractional_max_pool
from jaxnets.functional.pooling.global_pool import (
    global_avg_pool,
    global_max_pool,
    global_sum_pool,
)
from jaxnets.functional.pooling.indices import max_pool_with_indices, max_unpool
from jaxnets.functional.pooling.norms import logsumexp_pool, lp_pool
from jaxnets.functional.pooling.patches import fold, unfold
from jaxnets.functional.pooling.window import avg_pool, max_pool, sum_pool
from jaxnets.functional.recurrence.cell_options import LayerNormParams
from jaxnets.functional.recurrence.cells.conv_lstm import conv_lstm
from jaxnets.functional.recurrence.cells.conv_lstm_params import (
    ConvLSTMParams,
    init_conv_lstm,
)
from jaxnets.functional.recurrence.cells.gru import gru, gru_step
from jaxnets.functional.recurrence.cells.gru_params import GRUParams, init_gru
from jaxnets.functional.recurrence.cells.lstm import lstm, lstm_step
from jaxnets.functional.recurrence.cells.lstm_params import (
    LSTMParams,
    LSTMState,
    init_lstm,
)
from jaxnets.functional.recurrence.cells.rnn import rnn, rnn_step
from jaxnets.functional.recurrence.cells.rnn_params import RNNParams, init_rnn
from jaxnets.functional.recurrence.custom_step import recur
from jaxnets.functional.recurrence.directions import bidirectional
from jaxnets.functional.recurrence.initializers import (
    chrono_bias,
    identity_init,
    uniform_init,
)


__all__ = [
    "ConvLSTMParams",
    "GRUParams",
    "LSTMParams",
    "LSTMState",
    "LayerNormParams",
    "RNNParams",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "batch_norm",
    "bidirectional",
    "causal_conv",
    "chrono_bias",
    "conv",
    "conv_lstm",
    "conv_transpose",
    "depthwise_conv",
    "fold",
    "fractional_max_pool",
    "global_avg_pool",
    "global_max_pool",
    "global_sum_pool",
    "gru",
    "gru_step",
    "identity_init",
    "init_conv_lstm",
    "init_gru",
    "init_lstm",
    "init_rnn",
    "logsumexp_pool",
    "lp_pool",
    "lstm",
    "lstm_step",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "recur",
    "rnn",
    "rnn_step",
    "separable_conv",
    "sum_pool",
    "unfold",
    "uniform_init",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
