"""Verdicts on constructed records whose answers are known."""

import json
import math

import numpy as np
import pytest

from jaxnets.gradflow import verdicts
from jaxnets.records import Record


def norms(study, family, size, rate, *, seeds=3, step=0, noise=0.0, places=None):
    """Norms that change by `rate` powers of ten per place on the way back."""
    generator = np.random.default_rng(7)
    last = int(size) if places is None else places
    return [
        Record(
            study,
            f"{family}-{size:g}",
            family,
            float(size),
            seed,
            step,
            "log10_gradient_norm",
            f"block{p}",
            p,
            rate * (last - p) * (1 + noise * generator.normal()) + 0.1 * seed,
        )
        for seed in range(seeds)
        for p in range(last + 1)
    ]


def numbers(study, family, size, metric, values, *, step=0, position=None):
    """One number for each seed."""
    return [
        Record(
            study,
            f"{family}-{size:g}",
            family,
            size,
            seed,
            step,
            metric,
            "",
            position,
            v,
        )
        for seed, v in enumerate(values)
    ]


def one(found, **fields):
    matching = [
        v for v in found if all(getattr(v, name) == x for name, x in fields.items())
    ]
    assert len(matching) == 1, found
    return matching[0]


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
    end = 1 if kind == "exploding" else -1
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
    np.testing.assert_allclose(verdict.number, -8 - math.log10(0.6))
    assert verdict.number < verdict.threshold == -1
    assert verdict.low is not None and verdict.high is not None
    assert "At depth 56 the first block of the plain network receives 10^-8" in (
        verdict.sentence
    )
    assert "the residual network's 0.6" in verdict.sentence
    assert "keep it" in verdict.remedy


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


def saturation(family, gain, share, rate):
    records = norms("saturation", family, gain, rate, places=8)
    for layer in range(9):
        records += numbers(
            "saturation", family, gain, "saturated_share", [share] * 3, position=layer
        )
    return records


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
    np.testing.assert_allclose(verdict.number, share)
    assert f"{100 * share:.3g} %" in verdict.sentence
    assert "the first layer receives" in verdict.sentence
    assert ("at most 1/4" in verdict.sentence) == (family == "sigmoid")


def overfitting(family, rate, gap, losses):
    records = []
    for step, loss in enumerate(losses):
        at = {"step": 100 * (step + 1)}
        size = ("overfitting", family, rate)
        records += numbers(*size, "train_accuracy", [0.99, 0.98, 0.99], **at)
        validation = [0.99 - gap, 0.98 - gap, 0.985 - gap]
        records += numbers(*size, "validation_accuracy", validation, **at)
        records += numbers(*size, "validation_loss", [loss] * 3, **at)
    return records


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
    np.testing.assert_allclose(contrast.number, 0.11)
    assert "narrows" in contrast.sentence
    assert "Keep dropout" in contrast.remedy


def test_dropout_that_widens_the_gap():
    records = overfitting("no dropout", 0.0, 0.01, [0.5])
    records += overfitting("dropout 0.5", 0.5, 0.12, [0.5])
    contrast = one(verdicts(records), kind="contrast")
    assert "widens" in contrast.sentence
    assert "by 11 percentage points" in contrast.sentence


def test_nonfinite_numbers_are_counted_and_left_out():
    records = norms("depth", "plain", 20, 0.01)
    records[3] = records[3]._replace(value=math.nan)
    records[4] = records[4]._replace(value=math.inf)
    found = verdicts(records)
    broken = one(found, kind="non-finite")
    assert found[0] == broken
    assert "2 of 63 numbers" in broken.sentence
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
    assert "became exactly zero" in verdict.sentence


def test_a_gradient_that_is_zero_everywhere():
    records = [r._replace(value=-math.inf) for r in norms("depth", "plain", 8, 0.0)]
    verdict = one(verdicts(records))
    assert (verdict.kind, verdict.number) == ("vanishing", 0.0)


def complete_run():
    records = norms("depth", "plain", 20, -0.2) + norms("depth", "residual", 20, 0.01)
    records += norms("depth", "plain + BatchNorm", 20, 0.01)
    records += norms("time", "RNN", 30, -0.2) + norms("time", "LSTM", 30, -0.01)
    records += numbers("time", "RNN", 30.0, "solved", [0.0, 1.0, 0.0], step=10)
    records += saturation("tanh", 1.0, 0.1, 0.0) + saturation("tanh", 4.0, 0.7, -0.5)
    return records + overfitting("no dropout", 0.0, 0.1, [0.4, 0.5])


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
