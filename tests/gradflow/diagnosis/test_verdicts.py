"""Verdicts on depth and time, on records whose answers are known."""

import math

import numpy as np
import pytest

from jaxnets.gradflow import verdicts
from tests.gradflow.diagnosis.run_records import norms, numbers, one


@pytest.mark.parametrize(
    ("rate", "kind"), [(-0.2, "vanishing"), (0.2, "exploding"), (0.01, "healthy")]
)
@pytest.mark.parametrize("study", ["depth", "time"])
def test_a_constant_rate_is_read_and_judged(study, rate, kind):
    family = "plain" if study == "depth" else "RNN"
    verdict = one(verdicts(norms(study, family, 20, rate, noise=0.01)))
    assert verdict.kind == kind
    assert verdict.study == study
    np.testing.assert_allclose(verdict.number, 10**rate, rtol=0.01)
    assert verdict.low < 10**rate < verdict.high
    end = 1 if rate > 0 else -1
    np.testing.assert_allclose(verdict.threshold, 10 ** (end / 20))
    assert "95 % interval" in verdict.sentence
    assert "3 seeds" in verdict.sentence
    assert verdict.remedy


def test_the_sentence_holds_the_numbers_in_ordinary_words():
    verdict = one(verdicts(norms("depth", "plain", 20, math.log10(0.65))))
    assert verdict.where == "plain, depth 20, before training"
    assert "shrinks by a factor of 0.65 per block (95 % interval" in verdict.sentence
    assert "over 20 blocks only 2*10^-4 of it is left" in verdict.sentence


def test_seeds_that_disagree_are_no_verdict():
    records = norms("depth", "plain", 20, -0.2, seeds=1)
    records += [record._replace(seed=1, value=0.0) for record in records]
    verdict = one(verdicts(records))
    assert verdict.kind == "unclear"
    assert "more seeds" in verdict.remedy


def test_one_seed_has_no_interval_and_says_so():
    verdict = one(verdicts(norms("depth", "plain", 20, -0.2, seeds=1)))
    assert verdict.kind == "vanishing"
    assert (verdict.low, verdict.high) == (None, None)
    assert "one seed, so no interval" in verdict.sentence


def test_only_the_deepest_is_judged_before_and_after_training():
    records = norms("depth", "plain", 8, -0.5) + norms("depth", "plain", 20, -0.2)
    records += norms("depth", "plain", 20, -0.01, step=400)
    found = verdicts(records)
    assert [(v.where, v.kind) for v in found] == [
        ("plain, depth 20, before training", "vanishing"),
        ("plain, depth 20, after 400 updates", "healthy"),
    ]


def test_plain_against_residual():
    records = norms("depth", "plain", 56, -8 / 28, places=28)
    records += norms("depth", "residual", 56, math.log10(0.6) / 28, places=28)
    verdict = one(verdicts(records), kind="contrast")
    np.testing.assert_allclose(verdict.number, 8 + math.log10(0.6))
    assert verdict.number > verdict.threshold == 1
    assert verdict.low is not None and verdict.high is not None
    assert "At depth 56 the first block of the plain network receives 10^-8 times" in (
        verdict.sentence
    )
    assert "that of the residual network 0.6 times" in verdict.sentence
    assert "flows better in the residual network, by a factor of 6*10^7" in (
        verdict.sentence
    )
    assert "3 seeds, paired" in verdict.sentence
    assert "keep them" in verdict.remedy


@pytest.mark.parametrize(
    ("plain", "residual", "words"),
    [(0.08, 0.01, "keep them"), (0.0, 0.1, "better without shortcuts")],
)
def test_a_contrast_of_growth(plain, residual, words):
    records = norms("depth", "plain + BatchNorm", 32, plain)
    records += norms("depth", "residual + BatchNorm", 32, residual)
    assert words in one(verdicts(records), kind="contrast").remedy


def test_no_contrast_where_both_are_healthy():
    records = norms("depth", "plain", 8, 0.01) + norms("depth", "residual", 8, 0.02)
    found = verdicts(records)
    assert {v.kind for v in found} == {"healthy", "contrast"}
    assert "matter little" in one(found, kind="contrast").remedy


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0.01, "as He et al."), (-0.2, "This differs from He"), (0.2, "they grow")],
)
def test_batch_norm_is_compared_with_what_he_found(rate, words):
    verdict = one(verdicts(norms("depth", "plain + BatchNorm", 20, rate)))
    assert words in verdict.sentence
    assert "section 4.1" in verdict.sentence


@pytest.mark.parametrize(
    ("accuracies", "severity"),
    [([0.96, 0.95, 0.97], "note"), ([0.96, 0.95, 0.1], "fault")],
)
def test_a_deep_network_that_learns_has_no_fault(accuracies, severity):
    records = norms("depth", "residual", 110, 0.05)
    records += numbers("depth", "residual", 110.0, "test_accuracy", accuracies)
    verdict = one(verdicts(records))
    assert (verdict.kind, verdict.severity) == ("exploding", severity)
    assert ("it classifies 96 %" in verdict.sentence) == (severity == "note")


def test_a_recurrent_network_that_solves_its_task_has_no_fault():
    records = norms("time", "GRU", 100, -0.06) + norms("time", "RNN", 100, -0.06)
    # The RNN solved a shorter task.
    records += norms("time", "RNN", 20, -0.06)
    for family, length in (("GRU", 100.0), ("RNN", 20.0)):
        records += numbers("time", family, length, "solved", [1.0, 1.0], step=9)
    found = verdicts(records)
    start = "100 time steps, before training"
    assert one(found, where=f"RNN, {start}").severity == "fault"
    gru = one(found, where=f"GRU, {start}")
    assert (gru.kind, gru.severity) == ("vanishing", "note")
    assert "the GRU solves the task over 100 time steps in 2 of 2" in gru.sentence


def test_longer_sequences_without_training_hide_no_verdict_on_the_trained():
    records = []
    for family, rate in (("RNN", -0.06), ("LSTM", -0.002)):
        records += norms("time", family, 100, rate) + norms("time", family, 200, rate)
        records += norms("time", family, 100, rate / 2, step=9)
    found = verdicts(records)
    moments = ("100 time steps, before training", "100 time steps, after 9 updates")
    for moment in (*moments, "200 time steps, before training"):
        for who in ("RNN", "LSTM", "RNN against LSTM"):
            one(found, where=f"{who}, {moment}")
    assert len(found) == 9


def test_rnn_against_lstm():
    records = norms("time", "RNN", 100, -0.06)
    records += norms("time", "LSTM", 100, -0.002)
    found = verdicts(records)
    rnn = one(found, where="RNN, 100 time steps, before training")
    assert rnn.kind == "vanishing"
    assert "halves about every 5.02 steps" in rnn.sentence
    assert "loses 6 powers of ten per 100 steps" in rnn.sentence
    contrast = one(found, kind="contrast")
    np.testing.assert_allclose(contrast.number, -5.8)
    assert "The RNN forgets 30" in contrast.sentence
    assert "prefer the LSTM" in contrast.remedy


def test_a_ratio_of_rates_is_left_out_where_one_does_not_forget():
    records = norms("time", "RNN", 50, -0.06) + norms("time", "LSTM", 50, 0.002)
    contrast = one(verdicts(records), kind="contrast")
    assert "forgets" not in contrast.sentence
    np.testing.assert_allclose(contrast.number, -6.2)


def test_an_rnn_that_reaches_further_is_said_so():
    records = norms("time", "RNN", 50, -0.002) + norms("time", "GRU", 50, -0.06)
    contrast = one(verdicts(records), kind="contrast")
    assert "reaches further back than the GRU's" in contrast.remedy


def test_solved_counts_seeds_at_the_end_of_the_longest():
    records = numbers("time", "LSTM", 50.0, "solved", [1, 1, 1], step=900)
    records += numbers("time", "LSTM", 100.0, "solved", [0, 0, 0], step=0)
    records += numbers("time", "LSTM", 100.0, "solved", [1, 0, 1], step=900)
    records += numbers("time", "RNN", 100.0, "solved", [0, 0, 0], step=900)
    records = [r._replace(value=float(r.value)) for r in records]
    found = verdicts(records)
    assert "100 time steps in 2 of 3 seeds" in one(found, kind="solved").sentence
    assert one(found, kind="unsolved").number == 0.0
