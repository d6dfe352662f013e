"""The table of recurrent cells for the tests, with one row for each cell.

A row has the oracle of the cell, its forms and, as in `tests/signatures.py`, its
signatures. The tests of oracles, transformations, layers and signatures run over it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from jaxnets import nn
from jaxnets.functional.recurrence.cells import CELLS
from jaxnets.functional.recurrence.linear_cell import LinearCell
from tests.oracles import recurrent as oracle


CELL = "activation=tanh"
GATED = f"{CELL}, gate_activation=sigmoid"
LSTM_CELL = f"{GATED}, output_activation=tanh, clip=None, coupled_gates=False"
SHARED = "layer_norm=False, zoneout=0.0, recurrent_dropout=0.0, key=None"
SCAN = (
    "lengths=None, resets=None, reverse=False, time_major=False, unroll=1, "
    "checkpoint=None, truncate=None, clip_cotangent=None"
)
INPUT_INIT = "input_init=variance_scaling"
INIT = f"{INPUT_INIT}, recurrent_init=orthogonal"
TO_HIDDEN = "in_features, hidden, *"
LAYERS = f"{TO_HIDDEN}, num_layers=1, bidirectional=False, dropout=0.0"


class Variant(NamedTuple):
    """A form of a cell that its oracle has too.

    Attributes:
        options: Options of the function and of the oracle.
        params: Options of `draw_params`, which the constructor of the layer has too.
    """

    options: Mapping[str, Any] = MappingProxyType({})
    params: Mapping[str, Any] = MappingProxyType({})


class Family(NamedTuple):
    """A cell of `CELLS`, with the values that tests need.

    Attributes:
        name: Its name in `CELLS`.
        layer: Its layer in `nn`.
        oracle_step: Its step in NumPy.
        functions: The signatures of its functions and parameters.
        constructor: The signature of its layer.
        variants: Its forms.
    """

    name: str
    layer: Any
    oracle_step: Any
    functions: list[str]
    constructor: str
    variants: tuple[Variant, ...] = (Variant(),)

    @property
    def cell(self) -> Any:
        return CELLS[self.name].cell

    @property
    def linear(self) -> bool:
        """Whether its gates depend on the input only."""
        return isinstance(self.cell, LinearCell)

    @property
    def implementations(self) -> tuple[str, ...]:
        """The values of `implementation` that support every option of the cell."""
        return tuple(name for name in self.cell.implementations if name != "in_place")

    @property
    def run(self) -> Any:
        return CELLS[self.name].run

    @property
    def step(self) -> Any:
        return CELLS[self.name].step

    @property
    def params(self) -> Any:
        return self.cell.params

    @property
    def gates(self) -> int:
        return len(self.cell.gates)


RNN = Family(
    "rnn",
    nn.RNN,
    oracle.rnn_step,
    [
        "RNNParams(w_xh, w_hh, b)",
        f"init_rnn(key, {TO_HIDDEN}, {INIT}, dtype=float32)",
        f"rnn_step(params, state, x_t, *, {CELL}, clip=None, {SHARED})",
        f"rnn(params, x, state=None, *, {CELL}, clip=None, {SHARED}, {SCAN}, "
        "implementation=None)",
    ],
    f"RNN({LAYERS}, {CELL}, clip=None, {INIT}, dtype=None, param_dtype=float32, "
    "implementation=None, name='rnn', rngs)",
    (Variant(), Variant({"clip": 0.4})),
)
GRU = Family(
    "gru",
    nn.GRU,
    oracle.gru_step,
    [
        "GRUParams(w_xh, w_hh, b, b_hn=None)",
        f"init_gru(key, {TO_HIDDEN}, {INIT}, dtype=float32)",
        f"gru_step(params, state, x_t, *, {GATED}, clip=None, reset_after=True, "
        f"{SHARED})",
        f"gru(params, x, state=None, *, {GATED}, clip=None, reset_after=True, "
        f"{SHARED}, {SCAN}, implementation=None)",
    ],
    f"GRU({LAYERS}, {GATED}, reset_after=True, clip=None, {INIT}, "
    "dtype=None, param_dtype=float32, implementation=None, name='gru', rngs)",
    (
        Variant(),
        Variant({"clip": 0.4}),
        Variant({"reset_after": False}),
        Variant({"reset_after": False, "clip": 0.4}),
    ),
)
LSTM = Family(
    "lstm",
    nn.LSTM,
    oracle.lstm_step,
    [
        "LSTMParams(w_xh, w_hh, b, peephole=None, w_hr=None)",
        "LSTMState(h, c)",
        f"init_lstm(key, {TO_HIDDEN}, forget_bias=1.0, peephole=False, "
        f"projection=None, {INIT}, dtype=float32)",
        f"lstm_step(params, state, x_t, *, {LSTM_CELL}, {SHARED})",
        f"lstm(params, x, state=None, *, {LSTM_CELL}, {SHARED}, {SCAN}, "
        "implementation=None)",
    ],
    f"LSTM({LAYERS}, {LSTM_CELL}, forget_bias=1.0, peephole=False, "
    f"projection=None, {INIT}, dtype=None, param_dtype=float32, "
    "implementation=None, name='lstm', rngs)",
    (
        Variant(),
        Variant({"coupled_gates": True}),
        Variant({"clip": 0.4}, {"peephole": True}),
        Variant({"coupled_gates": True}, {"peephole": True, "projection": 2}),
    ),
)
MIN_GRU = Family(
    "min_gru",
    nn.MinGRU,
    oracle.min_gru_step,
    [
        "MinGRUParams(w_xh, b)",
        f"init_min_gru(key, {TO_HIDDEN}, {INPUT_INIT}, dtype=float32)",
        "min_gru_step(params, state, x_t)",
        f"min_gru(params, x, state=None, *, {SCAN}, implementation=None)",
    ],
    f"MinGRU({LAYERS}, {INPUT_INIT}, dtype=None, param_dtype=float32, "
    "implementation=None, name='min_gru', rngs)",
)
MIN_LSTM = Family(
    "min_lstm",
    nn.MinLSTM,
    oracle.min_lstm_step,
    [
        "MinLSTMParams(w_xh, b)",
        f"init_min_lstm(key, {TO_HIDDEN}, forget_bias=1.0, {INPUT_INIT}, "
        "dtype=float32)",
        "min_lstm_step(params, state, x_t)",
        f"min_lstm(params, x, state=None, *, {SCAN}, implementation=None)",
    ],
    f"MinLSTM({LAYERS}, forget_bias=1.0, {INPUT_INIT}, dtype=None, "
    "param_dtype=float32, implementation=None, name='min_lstm', rngs)",
)
EVERY = [RNN, GRU, LSTM, MIN_GRU, MIN_LSTM]
# Cells whose gates depend on the state, and cells whose gates do not.
FAMILIES = [family for family in EVERY if not family.linear]
LINEAR = [family for family in EVERY if family.linear]
# Every form of every cell, as the arguments of `pytest.mark.parametrize`.
FORMS = [
    pytest.param(family, variant, id=f"{family.name}-{number}")
    for family in EVERY
    for number, variant in enumerate(family.variants)
]
