"""Some networks of the suite of faults; `python -m benchmarks.faults` runs them all."""

import pytest

from benchmarks.faults import CASES, judge
from jaxnets.gradflow import diagnose


SOME = [
    "low rank with two zero factors",
    "four fifths of the units dead",
    "a derivative of the wrong sign",
    "the mean over padded steps",
    "a logarithm of zero",
    "gelu mlp of flax defaults",
    "gates that start at zero",
    "rms norm after small embeddings",
]


@pytest.mark.parametrize("name", SOME)
def test_the_diagnosis_of(name):
    case = CASES[name]
    found = diagnose(case.loss, case.make, case.batch, **case.options).verdicts
    right, words = judge(case, found)
    assert right, words
