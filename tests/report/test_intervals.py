import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.report.intervals import (
    NOT_NEGATIVE,
    SHARE,
    Estimate,
    describe_intervals,
    estimate,
    interval,
    number,
    numbers,
    over_seeds,
)
from jaxnets.runs.estimates import estimate as diagnosis_estimate
from jaxnets.runs.records import Record


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
    plain = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-", ",")
    parsed = [
        float(text.replace("×10", "e").translate(plain))
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


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_the_interval_of_a_share_stays_a_share_and_holds_the_mean(shares):
    found = estimate(shares).within(SHARE)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    theirs = diagnosis_estimate(shares)
    assert theirs is not None
    low, high = theirs.as_share().bounds
    assert 0 <= low <= theirs.mean <= high <= 1


def test_the_interval_of_a_share_is_that_of_its_angle():
    shares = [0.01, 0.02, 0.03]
    mean, half = 0.02, T_QUANTILES[2] * 0.01 / 3**0.5
    angle, rate = math.asin(mean**0.5), 0.5 / (mean * (1 - mean)) ** 0.5
    expected = [math.sin(angle + sign * half * rate) ** 2 for sign in (-1, 1)]
    found = estimate(shares).within(SHARE)
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-5)
    assert interval(found, share=True) == "2.0 % (0.3 to 5.2)"
    # Two seeds keep their range; where all agree there is no spread.
    assert estimate([0.0, 0.5]).within(SHARE)[1:3] == (0.0, 0.5)
    assert estimate([1.0, 1.0, 1.0]).within(SHARE)[1:3] == (1.0, 1.0)


def test_what_cannot_be_negative_has_an_interval_by_factors():
    found = estimate([0.1, 0.5, 3.0]).within(NOT_NEGATIVE)
    assert 0 < found.low < found.mean < found.high
    assert found.high / found.mean == pytest.approx(found.mean / found.low)
    narrow = estimate([10.0, 10.01, 10.02])
    np.testing.assert_allclose(narrow.within(NOT_NEGATIVE), narrow, rtol=1e-4)
    assert narrow.within((-math.inf, math.inf)) == narrow
