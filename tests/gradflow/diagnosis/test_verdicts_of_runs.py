"""Verdicts on saturation, overfitting and broken or partial runs."""

import json
import math

import numpy as np
import pytest

from jaxnets.gradflow import verdicts
from tests.gradflow.diagnosis.run_records import (
    complete_run,
    norms,
    one,
    overfitting,
    saturation,
)


@pytest.mark.parametrize(
    ("family", "share", "rate", "kind"),
    [
        ("tanh", 0.7, -0.3, "saturated"),
        ("sigmoid", 0.01, -0.6, "vanishing"),
        ("tanh", 0.05, 0.0, "healthy"),
        ("tanh", 0.05, 0.3, "exploding"),
        ("ReLU", 0.5, 0.0, "healthy"),
        ("ReLU", 0.95, 0.0, "saturated"),
    ],
)
def test_saturation(family, share, rate, kind):
    verdict = one(verdicts(saturation(family, 2.0, share, rate)))
    assert verdict.kind == kind
    faulty = kind in ("vanishing", "exploding")
    np.testing.assert_allclose(verdict.number, 10 ** (8 * rate) if faulty else share)
    assert f"{100 * share:.3g} %" in verdict.sentence
    assert "the first layer receives" in verdict.sentence
    assert ("at most 1/4" in verdict.sentence) == (family == "sigmoid")


def test_overfitting_and_dropout():
    records = overfitting("no dropout", 0.0, 0.12, [0.5, 0.4, 0.9])
    records += overfitting("dropout 0.5", 0.5, 0.01, [0.5, 0.4, 0.38])
    found = verdicts(records)
    plain = one(found, kind="overfitting")
    np.testing.assert_allclose(plain.number, 0.12, atol=0.01)
    assert "lowest after 200 updates (0.4) and has risen to 0.9" in plain.sentence
    dropped = one(found, kind="healthy")
    assert "has not turned upwards" in dropped.sentence
    contrast = one(found, kind="contrast")
    np.testing.assert_allclose(contrast.number, 0.52)
    assert "narrows the gap between training and validation loss" in contrast.sentence
    assert "without it the gap is 0.8, with it 0.28." in contrast.sentence
    assert "Keep dropout" in contrast.remedy


def test_dropout_that_widens_the_gap():
    records = overfitting("no dropout", 0.0, 0.01, [0.5])
    records += overfitting("dropout 0.5", 0.5, 0.12, [0.8])
    contrast = one(verdicts(records), kind="contrast")
    assert "widens" in contrast.sentence
    assert "by 0.3 nats" in contrast.sentence


def test_nonfinite_numbers_are_counted_and_left_out():
    records = norms("depth", "plain", 20, 0.01)
    records[3] = records[3]._replace(value=math.nan)
    records[4] = records[4]._replace(value=math.inf)
    # A line that theory predicts belongs to no seed.
    line = records[0]._replace(seed=-1, metric="predicted_log10_gradient_norm")
    found = verdicts([*records, line])
    broken = one(found, kind="non-finite")
    assert found[0] == broken
    assert "2 of 64 numbers" in broken.sentence
    assert "in 1 of 3 seeds" in broken.sentence
    assert one(found, kind="healthy")


def test_a_norm_of_exactly_zero_has_vanished_not_failed():
    records = [
        r._replace(value=-math.inf) if r.value < -38 else r
        for r in norms("time", "RNN", 100, -0.5)
    ]
    verdict = one(verdicts(records))
    assert verdict.kind == "vanishing"
    np.testing.assert_allclose(verdict.number, 10**-0.5)
    assert "too small for the number format" in verdict.sentence


@pytest.mark.parametrize("rate", [-0.2, 0.2])
def test_norms_far_outside_of_what_a_float_holds(rate):
    records = norms("time", "RNN", 2000, rate, seeds=2)
    verdict = one(verdicts(records))
    assert f"10^{2000 * rate:.0f}" in verdict.sentence
    assert verdicts([r._replace(value=r.value * 1e30) for r in records])


def test_a_gradient_that_is_zero_everywhere():
    records = [r._replace(value=-math.inf) for r in norms("depth", "plain", 8, 0.0)]
    verdict = one(verdicts(records))
    assert (verdict.kind, verdict.number) == ("vanishing", 0.0)


def test_the_remedy_fits_the_family():
    rnn, lstm = (
        one(verdicts(norms("time", family, 50, -0.2))) for family in ("RNN", "LSTM")
    )
    assert "Use an LSTM" in rnn.remedy
    assert "gate that keeps the old state" in lstm.remedy


def test_a_healthy_run_raises_no_alarm():
    records = norms("depth", "plain", 20, 0.01) + norms("depth", "residual", 20, 0.02)
    records += norms("time", "LSTM", 100, -0.001) + norms("time", "RNN", 100, -0.002)
    records += saturation("tanh", 1.0, 0.1, 0.01)
    records += overfitting("no dropout", 0.0, 0.01, [0.4, 0.3])
    assert {v.kind for v in verdicts(records)} == {"healthy", "contrast"}


def test_verdicts_are_plain_numbers_that_json_can_hold():
    for verdict in verdicts(complete_run()):
        assert json.loads(json.dumps(verdict, allow_nan=False))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_value_anywhere_stops_the_verdicts(value):
    records = complete_run()
    for every in (1, 2, 5):
        broken = [
            r._replace(value=value) if i % every == 0 else r
            for i, r in enumerate(records)
        ]
        assert verdicts(broken)


def test_any_part_of_a_run_can_be_judged():
    records = complete_run()
    for start in range(0, len(records), 37):
        verdicts(records[start : start + 50])
        verdicts(records[::-1][start : start + 1])
    assert verdicts([]) == []


def test_the_order_of_records_does_not_matter():
    records = sorted(complete_run(), key=lambda r: (r.metric, r.seed, r.value))
    ordered = {v.where: v for v in verdicts(complete_run())}
    for verdict in verdicts(records):
        assert verdict.kind == ordered[verdict.where].kind
        np.testing.assert_allclose(verdict.number, ordered[verdict.where].number)
