"""Drawn parameters and options that the tests of rnn, gru and lstm share."""

from typing import Any, NamedTuple

import jax
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from jaxnets.functional.recurrence.cells.gru_cell import GRUParams, gru, gru_step
from jaxnets.functional.recurrence.cells.lstm_cell import (
    LSTMParams,
    LSTMState,
    lstm,
    lstm_step,
)
from jaxnets.functional.recurrence.cells.rnn_cell import RNNParams, rnn, rnn_step
from tests.oracles import recurrent as oracle


class Family(NamedTuple):
    """One kind of recurrence, ours and the oracle's."""

    name: str
    run: Any
    step: Any
    oracle_step: Any
    gates: int


RNN = Family("rnn", rnn, rnn_step, oracle.rnn_step, 1)
GRU = Family("gru", gru, gru_step, oracle.gru_step, 3)
LSTM = Family("lstm", lstm, lstm_step, oracle.lstm_step, 4)
FAMILIES = [RNN, GRU, LSTM]

# Each example compiles, so they are few; the choice is the same in every run.
few = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
)


def as_float32(tree) -> Any:
    return jax.tree.map(lambda a: np.asarray(a, np.float32), tree)


def draw_params(
    family, rng, features=3, hidden=2, *, peephole=False, projection=None
) -> Any:
    """Float64 parameters, every one of them non-zero."""
    normal = lambda *shape: 0.6 * rng.standard_normal(shape)
    columns = family.gates * hidden
    outputs = hidden if projection is None else projection
    common = (normal(features, columns), normal(outputs, columns), normal(columns))
    if family is RNN:
        return RNNParams(*common)
    if family is GRU:
        return GRUParams(*common, normal(hidden))
    rows = normal(3, hidden) if peephole else None
    return LSTMParams(*common, rows, projection and normal(hidden, projection))


def draw_state(family, rng, batch, hidden=2, *, projection=None) -> Any:
    normal = lambda *shape: 0.6 * rng.standard_normal(shape)
    if family is not LSTM:
        return normal(*batch, hidden)
    return LSTMState(normal(*batch, projection or hidden), normal(*batch, hidden))


@st.composite
def scans(draw):
    """Sizes of a batch of sequences, and scan options as NumPy arrays."""
    batch, time = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    options: dict[str, Any] = {"reverse": draw(st.booleans())}
    if draw(st.booleans()):
        options["lengths"] = rng.integers(0, time + 1, batch)
    if draw(st.booleans()):
        options["resets"] = rng.random((batch, time)) < 0.3
    layout = {
        "time_major": draw(st.booleans()),
        "unroll": draw(st.sampled_from([1, 2, 9])),
        "checkpoint": draw(st.sampled_from([None, "sqrt", 1, 2, 4, 9])),
        # The library's own choice is "in_place" where the cell options allow that.
        "implementation": draw(st.sampled_from([None, "split", "scan"])),
    }
    return batch, time, options, layout, rng
