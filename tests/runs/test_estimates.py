"""Means over seeds and their intervals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.runs.estimates import Estimate, estimate, over_seeds
from jaxnets.runs.intervals import NOT_NEGATIVE, SHARE, UNBOUNDED
from jaxnets.runs.records import Record


# Two-sided 95 % quantiles of Student's t by degrees of freedom, from printed tables.
T_QUANTILES = {1: 12.70620, 2: 4.30265, 3: 3.18245, 4: 2.77645, 9: 2.26216}


def record(seed, value, step=0):
    return Record("depth", "a", "plain", 8.0, seed, step, "loss", "", None, value)


def found(values) -> Estimate:
    value = estimate(values)
    assert value is not None
    return value


@pytest.mark.parametrize("freedom", T_QUANTILES)
def test_the_interval_is_student_s(freedom, rng):
    values = [float(value) for value in rng.normal(1.5, 0.7, freedom + 1)]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / freedom
    half = T_QUANTILES[freedom] * math.sqrt(variance / len(values))
    expected = (mean, mean - half, mean + half)
    interval = found(values).interval
    np.testing.assert_allclose((found(values).mean, *interval), expected, rtol=1e-5)
    assert found(values).seeds == freedom + 1


def test_one_seed_has_no_interval():
    assert estimate([3.0]) == Estimate(3.0, None, None, 1)
    assert Estimate(3.0, None, None, 1).within(SHARE).interval == (3.0, 3.0)


def test_values_that_are_not_finite_are_left_out():
    assert estimate([1.0, math.nan, -math.inf, 3.0]) == estimate([1.0, 3.0])
    assert estimate([math.nan]) is None


def test_records_of_one_seed_count_as_one_sample():
    values = [record(0, 1.0), record(0, 3.0), record(1, 5.0)]
    assert over_seeds(values) == estimate([2.0, 5.0])
    partly = [record(0, 1.0), record(0, math.inf), record(1, 5.0)]
    assert over_seeds(partly) == estimate([1.0, 5.0])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_the_mean_lies_inside_its_interval(values):
    low, high = found(values).interval
    assert low <= found(values).mean <= high
    assert (-found(values)).interval == (-high, -low)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_the_interval_of_a_share_stays_a_share_and_holds_the_mean(shares):
    low, high = found(shares).within(SHARE).interval
    assert 0 <= low <= found(shares).mean <= high <= 1


def test_the_interval_of_a_share_is_that_of_its_angle():
    shares = [0.01, 0.02, 0.03]
    mean, half = 0.02, T_QUANTILES[2] * 0.01 / 3**0.5
    angle, rate = math.asin(mean**0.5), 0.5 / (mean * (1 - mean)) ** 0.5
    expected = [math.sin(angle + sign * half * rate) ** 2 for sign in (-1, 1)]
    interval = found(shares).within(SHARE).interval
    np.testing.assert_allclose(interval, expected, rtol=1e-5)
    # Where all agree there is no spread.
    assert found([1.0, 1.0, 1.0]).within(SHARE).interval == (1.0, 1.0)


def test_what_cannot_be_negative_has_an_interval_by_factors():
    value = found([0.1, 0.5, 3.0]).within(NOT_NEGATIVE)
    low, high = value.interval
    assert 0 < low < value.mean < high
    assert high / value.mean == pytest.approx(value.mean / low)
    narrow = found([10.0, 10.01, 10.02])
    by_factors = narrow.within(NOT_NEGATIVE).interval
    np.testing.assert_allclose(by_factors, narrow.interval, rtol=1e-4)
    assert narrow.within(UNBOUNDED) == narrow
