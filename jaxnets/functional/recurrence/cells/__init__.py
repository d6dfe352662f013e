"""The recurrent cells, one file each, and the table of them.

A new cell is a file here and a row of `CELLS`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxnets.functional.recurrence.cell import Cell
from jaxnets.functional.recurrence.cells.conv_lstm_cell import conv_lstm
from jaxnets.functional.recurrence.cells.conv_lstm_params import (
    ConvLSTMParams,
    init_conv_lstm,
)
from jaxnets.functional.recurrence.cells.gru_cell import GRU, gru, gru_step
from jaxnets.functional.recurrence.cells.gru_params import GRUParams, init_gru
from jaxnets.functional.recurrence.cells.lstm_cell import LSTM, lstm, lstm_step
from jaxnets.functional.recurrence.cells.lstm_params import (
    LSTMParams,
    LSTMState,
    init_lstm,
)
from jaxnets.functional.recurrence.cells.min_gru_cell import (
    MIN_GRU,
    MinGRUParams,
    init_min_gru,
    min_gru,
    min_gru_step,
)
from jaxnets.functional.recurrence.cells.min_lstm_cell import (
    MIN_LSTM,
    MinLSTMParams,
    init_min_lstm,
    min_lstm,
    min_lstm_step,
)
from jaxnets.functional.recurrence.cells.rnn_cell import (
    RNN,
    RNNParams,
    init_rnn,
    rnn,
    rnn_step,
)
from jaxnets.functional.recurrence.linear_cell import LinearCell


__all__ = [
    "ConvLSTMParams",
    "GRUParams",
    "LSTMParams",
    "LSTMState",
    "MinGRUParams",
    "MinLSTMParams",
    "RNNParams",
    "conv_lstm",
    "gru",
    "gru_step",
    "init_conv_lstm",
    "init_gru",
    "init_lstm",
    "init_min_gru",
    "init_min_lstm",
    "init_rnn",
    "lstm",
    "lstm_step",
    "min_gru",
    "min_gru_step",
    "min_lstm",
    "min_lstm_step",
    "rnn",
    "rnn_step",
]


class CellFunctions(NamedTuple):
    """The public functions of a cell over sequences of vectors, and its description.

    Attributes:
        cell: The description.
        run: Runs the cell over time.
        step: Computes one step.
        init: Draws the parameters.
    """

    cell: Cell | LinearCell
    run: Callable[..., tuple[Any, Any]]
    step: Callable[..., tuple[Any, Any]]
    init: Callable[..., Any]


CELLS = {
    functions.cell.name: functions
    for functions in (
        CellFunctions(RNN, rnn, rnn_step, init_rnn),
        CellFunctions(GRU, gru, gru_step, init_gru),
        CellFunctions(LSTM, lstm, lstm_step, init_lstm),
        CellFunctions(MIN_GRU, min_gru, min_gru_step, init_min_gru),
        CellFunctions(MIN_LSTM, min_lstm, min_lstm_step, init_min_lstm),
    )
}
