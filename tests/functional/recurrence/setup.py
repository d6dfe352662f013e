"""The table of cells for the tests, and drawn parameters and options."""

from typing import Any, NamedTuple

import jax
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from jaxnets.functional import LSTMState
from jaxnets.functional.recurrence.cells import CELLS
from tests.oracles import recurrent as oracle


class Family(NamedTuple):
    """A row of `CELLS`, and what the tests need to know of it.

    Attributes:
        name: Its name in `CELLS`.
        oracle_step: Its step in NumPy.
        implementations: The names that force one.
    """

    name: str
    oracle_step: Any
    implementations: tuple[str, ...]

    @property
    def run(self) -> Any:
        return CELLS[self.name].run

    @property
    def step(self) -> Any:
        return CELLS[self.name].step

    @property
    def gates(self) -> int:
        return len(CELLS[self.name].cell.gates)


LOOPS = ("scan", "split")
PARALLEL = ("scan", "associative", "associative_log")
RNN = Family("rnn", oracle.rnn_step, LOOPS)
GRU = Family("gru", oracle.gru_step, LOOPS)
LSTM = Family("lstm", oracle.lstm_step, LOOPS)
MIN_GRU = Family("min_gru", oracle.min_gru_step, PARALLEL)
MIN_LSTM = Family("min_lstm", oracle.min_lstm_step, PARALLEL)
# Cells whose gates see the state, cells whose gates do not, and all.
FAMILIES = [RNN, GRU, LSTM]
LINEAR = [MIN_GRU, MIN_LSTM]
EVERY = [*FAMILIES, *LINEAR]

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
    drawn = {"w_xh": normal(features, columns), "w_hh": normal(outputs, columns)}
    drawn |= {"b": normal(columns), "b_hn": normal(hidden)}
    drawn["peephole"] = normal(3, hidden) if peephole else None
    drawn["w_hr"] = normal(hidden, projection) if projection else None
    kind: Any = CELLS[family.name].cell.params
    return kind(**{field: drawn[field] for field in kind._fields})


def draw_state(family, rng, batch, hidden=2, *, projection=None) -> Any:
    normal = lambda *shape: 0.6 * rng.standard_normal(shape)
    if family is not LSTM:
        return normal(*batch, hidden)
    return LSTMState(normal(*batch, projection or hidden), normal(*batch, hidden))


@st.composite
def scans(draw, implementations=LOOPS):
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
        # The choice of None is "in_place" if the cell options allow that.
        "implementation": draw(st.sampled_from([None, *implementations])),
    }
    return batch, time, options, layout, rng
