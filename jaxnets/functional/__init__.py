"""Convolution, pooling and recurrence as pure functions of arrays."""

from jaxnets.functional.adaptive import adaptive_avg_pool as adaptive_avg_pool
from jaxnets.functional.adaptive import adaptive_max_pool as adaptive_max_pool
from jaxnets.functional.causal import causal_conv as causal_conv
from jaxnets.functional.conv import conv as conv
from jaxnets.functional.conv_transpose import conv_transpose as conv_transpose
from jaxnets.functional.depthwise import depthwise_conv as depthwise_conv
from jaxnets.functional.depthwise import separable_conv as separable_conv
from jaxnets.functional.fractional import fractional_max_pool as fractional_max_pool
from jaxnets.functional.global_pool import global_avg_pool as global_avg_pool
from jaxnets.functional.global_pool import global_max_pool as global_max_pool
from jaxnets.functional.global_pool import global_sum_pool as global_sum_pool
from jaxnets.functional.norm_pool import logsumexp_pool as logsumexp_pool
from jaxnets.functional.norm_pool import lp_pool as lp_pool
from jaxnets.functional.normalization import batch_norm as batch_norm
from jaxnets.functional.patches import fold as fold
from jaxnets.functional.patches import unfold as unfold
from jaxnets.functional.pool import avg_pool as avg_pool
from jaxnets.functional.pool import max_pool as max_pool
from jaxnets.functional.pool import sum_pool as sum_pool
from jaxnets.functional.pool_indices import (
    max_pool_with_indices as max_pool_with_indices,
)
from jaxnets.functional.pool_indices import max_unpool as max_unpool
from jaxnets.functional.recurrent.bidirectional import bidirectional as bidirectional
from jaxnets.functional.recurrent.cell_options import (
    LayerNormParams as LayerNormParams,
)
from jaxnets.functional.recurrent.conv_lstm import conv_lstm as conv_lstm
from jaxnets.functional.recurrent.conv_lstm_params import (
    ConvLSTMParams as ConvLSTMParams,
)
from jaxnets.functional.recurrent.conv_lstm_params import (
    init_conv_lstm as init_conv_lstm,
)
from jaxnets.functional.recurrent.gru import gru as gru
from jaxnets.functional.recurrent.gru import gru_step as gru_step
from jaxnets.functional.recurrent.gru_params import GRUParams as GRUParams
from jaxnets.functional.recurrent.gru_params import init_gru as init_gru
from jaxnets.functional.recurrent.initializers import chrono_bias as chrono_bias
from jaxnets.functional.recurrent.initializers import identity_init as identity_init
from jaxnets.functional.recurrent.initializers import uniform_init as uniform_init
from jaxnets.functional.recurrent.lstm import lstm as lstm
from jaxnets.functional.recurrent.lstm import lstm_step as lstm_step
from jaxnets.functional.recurrent.lstm_params import LSTMParams as LSTMParams
from jaxnets.functional.recurrent.lstm_params import LSTMState as LSTMState
from jaxnets.functional.recurrent.lstm_params import init_lstm as init_lstm
from jaxnets.functional.recurrent.recurrence import recur as recur
from jaxnets.functional.recurrent.rnn import rnn as rnn
from jaxnets.functional.recurrent.rnn import rnn_step as rnn_step
from jaxnets.functional.recurrent.rnn_params import RNNParams as RNNParams
from jaxnets.functional.recurrent.rnn_params import init_rnn as init_rnn
