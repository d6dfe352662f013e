import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.records import Record
from jaxnets.report.intervals import (
    Estimate,
    describe_intervals,
    estimate,
    interval,
    number,
    numbers,
    over_seeds,
)


# Two-sided 95 % quantiles of Student's t by degrees of freedom, from printed tables.
T_QUANTILES = {2: 4.30265, 3: 3.18245, 4: 2.77645, 9: 2.26216}


def record(seed, value, step=0):
    return Record("depth", "a", "plain", 8.0, seed, step, "loss", "", None, value)


@pytest.mark.parametrize("freedom", T_QUANTILES)
def test_the_interval_is_student_s(freedom, rng):
    values = [float(value) for value in rng.normal(1.5, 0.7, freedom + 1)]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / freedom
    half = T_QUANTILES[freedom] * math.sqrt(variance / len(values))
    found = estimate(values)
    np.testing.assert_allclose(found[:3], (mean, mean - half, mean + half), rtol=1e-5)
    assert found.seeds == freedom + 1


def test_two_seeds_give_their_range_and_one_its_value():
    assert estimate([3.0, 1.0]) == Estimate(2.0, 1.0, 3.0, 2, 0)
    assert estimate([3.0]) == Estimate(3.0, 3.0, 3.0, 1, 0)


def test_values_that_are_not_finite_are_counted_and_left_out():
    found = estimate([1.0, math.nan, -math.inf, 3.0])
    assert (found.mean, found.seeds, found.left_out) == (2.0, 2, 2)
    nothing = estimate([math.nan])
    assert math.isnan(nothing.mean) and nothing.seeds == 0
    assert interval(nothing) == "not finite"


def test_several_records_of_a_seed_count_as_one_witness():
    found = over_seeds([record(0, 1.0), record(0, 3.0), record(1, 5.0)])
    assert found == Estimate(3.5, 2.0, 5.0, 2, 0)
    partly = over_seeds([record(0, 1.0), record(0, math.inf), record(1, 5.0)])
    assert (partly.seeds, partly.left_out) == (2, 1)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_the_mean_lies_inside_its_interval(values):
    found = estimate(values)
    assert found.low <= found.mean <= found.high


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats() | st.integers() | st.none() | st.text(max_size=5))
def test_anything_can_be_written(value):
    assert isinstance(number(value), str)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e12, 1e12), min_size=3, max_size=3))
def test_written_numbers_keep_their_order(values):
    parsed = [
        float(text.replace("−", "-").replace(",", ""))
        for text in numbers(sorted(values))
    ]
    assert all(a <= b for a, b in pairwise(parsed))


@pytest.mark.parametrize(
    "seeds, words",
    [
        ([], "Nothing was measured"),
        ([1, 1], "One seed only"),
        ([2, 2], "the range of the two"),
        ([3, 3], "mean of 3 seeds. Bands: 95 % t-interval of the mean."),
        ([5, 2], "up to 5 seeds.*with two seeds their range"),
    ],
)
def test_the_sentence_says_what_the_interval_is(seeds, words):
    assert re.search(words, describe_intervals(seeds, "Bands"))


def test_shares_stay_inside_their_bounds():
    wide = Estimate(0.98, 0.9, 1.06, 3, 0).within((0.0, 1.0))
    assert interval(wide, share=True) == "98.0 % (90.0 to 100.0)"
