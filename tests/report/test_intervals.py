"""Estimates as a reader sees them: in charts, tables and verdicts alike."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.gradflow import verdicts
from jaxnets.report.charts.figures import Figure
from jaxnets.report.intervals import describe_intervals, interval, number, numbers
from jaxnets.runs.estimates import Estimate
from jaxnets.runs.records import Record
from jaxnets.studies.theory.verdicts import claim_verdicts
from tests.report.synthetic import section_of


def point_of(section, name) -> Estimate:
    """The only measured point of a figure."""
    (figure,) = [f for f in section.figures if f.plot.name == name]
    assert isinstance(figure, Figure)
    lines = [line for panel in figure.panels for line in panel.lines]
    ((_, point),) = lines[0].points
    return point


def test_chart_and_verdict_of_two_seeds_show_the_same_interval():
    claim = lambda seed, metric, value: Record(
        "theory", "rnn", "net", 0.8, seed, 0, metric, "", None, value
    )
    records = [claim(0, "claim", 1.0), claim(1, "claim", 2.0)]
    records += [claim(-1, "predicted_claim", 1.4)]
    (verdict,) = claim_verdicts(records)
    point = point_of(section_of("theory", records), "rnn-slope")
    ends = (verdict.lines[0]["low"], verdict.lines[0]["high"])
    assert point.interval == ends == pytest.approx((-4.853, 7.853), abs=1e-3)


def test_so_do_those_of_a_quantity_with_bounds():
    records = [
        Record("depth", "plain-8", "plain", 8.0, seed, 0, metric, "", None, value)
        for metric in ["gradient_correlation"]
        for seed, value in enumerate((0.2, 0.3))
    ]
    (verdict,) = verdicts(records)
    section = section_of("depth", records)
    point = point_of(section, "gradient-correlation")
    assert point.interval == (verdict.low, verdict.high)
    assert -1 < point.interval[0] < 0.2 < 0.3 < point.interval[1] < 1
    assert section.table is not None and interval(point) in section.table.rows[0]


def test_an_estimate_is_written_with_its_interval():
    share = Estimate(0.02, 0.003, 0.0521, 3)
    assert interval(share, share=True) == "2.0 % (0.3 to 5.2)"
    assert interval(Estimate(3.0, None, None, 1)) == "3"
    assert interval(None) == "not finite"


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
        ([2, 2], "Mean of 2 seeds; bands: its 95 % t interval."),
        ([5, 2], "up to 5 seeds; bands: its 95 % t interval."),
        ([5, 1], "up to 5 seeds.*none where there is one seed"),
    ],
)
def test_the_sentence_says_what_the_interval_is(seeds, words):
    assert re.search(words, describe_intervals(seeds, "Bands"))
