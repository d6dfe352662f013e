"""Convolution, pooling and recurrence as pure functions of arrays."""

from jaxnets.functional.convolution.causal import causal_conv as causal_conv
from jaxnets.functional.convolution.depthwise import depthwise_conv as depthwise_conv
from jaxnets.functional.convolution.depthwise import separable_conv as separable_conv
from jaxnets.functional.convolution.general import conv as conv
from jaxnets.functional.convolution.transposed import conv_transpose as conv_transpose
from jaxnets.functional.normalization import batch_norm as batch_norm
from jaxnets.functional.pooling.adaptive import adaptive_avg_pool as adaptive_avg_pool
from jaxnets.functional.pooling.adaptive import adaptive_max_pool as adaptive_max_pool
from jaxnets.functional.pooling.fractional import (
    fractional_max_pool as fractional_max_pool,
)
from jaxnets.functional.pooling.global_pool import global_avg_pool as global_avg_pool
from jaxnets.functional.pooling.global_pool import global_max_pool as global_max_pool
from jaxnets.functional.pooling.global_pool import global_sum_pool as global_sum_pool
from jaxnets.functional.pooling.indices import (
    max_pool_with_indices as max_pool_with_indices,
)
from jaxnets.functional.pooling.indices import max_unpool as max_unpool
from jaxnets.functional.pooling.norms import logsumexp_pool as logsumexp_pool
from jaxnets.functional.pooling.norms import lp_pool as lp_pool
from jaxnets.functional.pooling.patches import fold as fold
from jaxnets.functional.pooling.patches import unfold as unfold
from jaxnets.functional.pooling.window import avg_pool as avg_pool
from jaxnets.functional.pooling.window import max_pool as max_pool
from jaxnets.functional.pooling.window import sum_pool as sum_pool
from jaxnets.functional.recurrence.cell_options import (
    LayerNormParams as LayerNormParams,
)
from jaxnets.functional.recurrence.cells.conv_lstm_cell import (
    ConvLSTMParams as ConvLSTMParams,
)
from jaxnets.functional.recurrence.cells.conv_lstm_cell import conv_lstm as conv_lstm
from jaxnets.functional.recurrence.cells.conv_lstm_cell import (
    init_conv_lstm as init_conv_lstm,
)
from jaxnets.functional.recurrence.cells.gru_cell import GRUParams as GRUParams
from jaxnets.functional.recurrence.cells.gru_cell import gru as gru
from jaxnets.functional.recurrence.cells.gru_cell import gru_step as gru_step
from jaxnets.functional.recurrence.cells.gru_cell import init_gru as init_gru
from jaxnets.functional.recurrence.cells.lstm_cell import LSTMParams as LSTMParams
from jaxnets.functional.recurrence.cells.lstm_cell import LSTMState as LSTMState
from jaxnets.functional.recurrence.cells.lstm_cell import init_lstm as init_lstm
from jaxnets.functional.recurrence.cells.lstm_cell import lstm as lstm
from jaxnets.functional.recurrence.cells.lstm_cell import lstm_step as lstm_step
from jaxnets.functional.recurrence.cells.rnn_cell import RNNParams as RNNParams
from jaxnets.functional.recurrence.cells.rnn_cell import init_rnn as init_rnn
from jaxnets.functional.recurrence.cells.rnn_cell import rnn as rnn
from jaxnets.functional.recurrence.cells.rnn_cell import rnn_step as rnn_step
from jaxnets.functional.recurrence.custom_step import recur as recur
from jaxnets.functional.recurrence.directions import bidirectional as bidirectional
from jaxnets.functional.recurrence.initializers import chrono_bias as chrono_bias
from jaxnets.functional.recurrence.initializers import identity_init as identity_init
from jaxnets.functional.recurrence.initializers import uniform_init as uniform_init
