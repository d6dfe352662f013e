"""Random parameters and options for the tests of recurrences."""

from typing import Any

import jax
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from jaxnets.functional import LSTMState
from tests.cells import LSTM


# Few examples, since each compiles a program; they are the same in every run.
few_examples = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
)


def as_float32(tree) -> Any:
    return jax.tree.map(lambda a: np.asarray(a, np.float32), tree)


def draw_params(
    family, rng, features=3, hidden=2, *, peephole=False, projection=None
) -> Any:
    """Return random float64 parameters, biases included."""
    normal = lambda *shape: 0.6 * rng.standard_normal(shape)
    columns = family.gates * hidden
    outputs = hidden if projection is None else projection
    drawn = {"w_xh": normal(features, columns), "w_hh": normal(outputs, columns)}
    drawn |= {"b": normal(columns), "b_hn": normal(hidden)}
    drawn["peephole"] = normal(3, hidden) if peephole else None
    drawn["w_hr"] = normal(hidden, projection) if projection else None
    return family.params(**{name: drawn[name] for name in family.params._fields})


def draw_state(family, rng, batch, hidden=2, *, projection=None) -> Any:
    normal = lambda *shape: 0.6 * rng.standard_normal(shape)
    if family is not LSTM:
        return normal(*batch, hidden)
    return LSTMState(normal(*batch, projection or hidden), normal(*batch, hidden))


@st.composite
def scans(draw, implementations):
    """Draw the sizes of a batch of sequences, scan options, and a layout."""
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
        # None chooses "in_place" if it supports the cell options.
        "implementation": draw(st.sampled_from([None, *implementations])),
    }
    return batch, time, options, layout, rng
