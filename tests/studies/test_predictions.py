"""Trained networks start as theory predicts: depth, time, and the band of a line."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn
from jaxnets.gradflow.theory import finite_width_spread
from jaxnets.studies import depth
from jaxnets.studies.arm import Arm, Recorder
from jaxnets.studies.predictions import record_prediction
from jaxnets.studies.time import prediction as time_prediction
from jaxnets.studies.time import settings as time_settings
from jaxnets.studies.time import study as time_study


def profiles(study, arm, seeds=(0, 1)):
    """Return norms before training `(seeds, positions)` and the prediction or None."""
    outcome = study.run(arm, seeds, lambda *figures: None)
    assert not outcome.message
    first = [r for r in outcome.records if r.step == 0 and r.position is not None]

    def rows(metric, seed):
        found = [r for r in first if r.metric == metric and r.seed == seed]
        return [r.value for r in sorted(found, key=lambda r: r.position)]

    norms = np.array([rows("log10_gradient_norm", seed) for seed in seeds])
    predicted = rows("predicted_log10_gradient_norm", -1)
    return norms, np.array(predicted) if predicted else None


@pytest.fixture
def deep(monkeypatch):
    settings = dataclasses.replace(depth.SCALES["smoke"], depths=(20,), widths=(16,))
    monkeypatch.setitem(depth.SCALES, "smoke", settings)
    return {arm.family: arm for arm in depth.arms("smoke", "digits")}


def test_without_batch_norm_the_plain_net_vanishes_as_predicted(deep):
    norms, predicted = profiles(depth, deep["plain"])
    assert predicted is not None
    slopes = np.polyfit(np.arange(norms.shape[1]), norms.T, 1)[0]
    slope = np.polyfit(np.arange(len(predicted)), predicted, 1)[0]
    assert slope > 0.3, "a third of a decade for each block"
    np.testing.assert_allclose(slopes.mean(), slope, rtol=0.15)


def test_theory_s_band_narrows_to_where_its_line_starts():
    arm = Arm("saturation", "relu-1", "ReLU", 1.0, {})
    recorder = Recorder(arm, (0, 1, 2))
    measured = np.zeros((3, 4))
    spreads = [finite_width_spread([20] * passed) for passed in (3, 2, 1, 0)]
    record_prediction(
        recorder, [-3.0, -2.0, -1.0, 0.0], measured, places=["a"] * 4, spreads=spreads
    )
    names = ("low", "high")
    low, high = (
        [r.value for r in recorder.records if r.metric.startswith(f"predicted_{name}")]
        for name in names
    )
    line = np.array([-3.0, -2.0, -1.0, 0.0]) / np.log(10)
    assert low[-1] == high[-1] == 0.0
    # For one layer of 20 units, the log of the norm has std 0.28 and mean -0.07.
    half, shift = 1.96 * spreads[2].std / 2 / 3**0.5, spreads[2].mean / 2
    np.testing.assert_allclose(high[2], line[2] + half / np.log(10))
    np.testing.assert_allclose(low[2], line[2] + (shift - half) / np.log(10))
    assert 0.25 < spreads[2].std / 2 < 0.32


def test_without_batch_norm_the_residual_net_keeps_its_gradient(deep):
    norms, predicted = profiles(depth, deep["residual"])
    assert (np.abs(norms[:, 0] - norms[:, -1]) < 0.5).all()
    assert predicted is not None
    np.testing.assert_allclose(norms.mean(axis=0), predicted, atol=0.1)


def test_with_batch_norm_the_plain_net_explodes_as_predicted(deep):
    norms, predicted = profiles(depth, deep["plain + BatchNorm"])
    assert predicted is not None
    grown = norms.mean(axis=0) - norms[:, -1].mean()
    theirs = predicted - predicted[-1]
    assert theirs[0] == pytest.approx(9 * np.log10(np.pi / (np.pi - 1)), rel=1e-4)
    # The network is narrow and its batch has 32 images.
    np.testing.assert_allclose(grown, theirs, atol=0.2)


def test_cells_forget_as_predicted_and_the_rnn_much_faster(monkeypatch):
    settings = time_settings.TimeSettings(
        (time_settings.Row("adding", 40, 1),), 32, 1, 16, 3e-3
    )
    monkeypatch.setitem(time_study.SCALES, "smoke", settings)
    arms = {arm.family: arm for arm in time_study.arms("smoke", "")}
    slopes = {}
    for family in ("RNN", "GRU", "LSTM"):
        norms, predicted = profiles(time_study, arms[family], seeds=(0, 1, 2, 3))
        # The last steps still have the scale of the read-out.
        times = np.arange(35)
        slopes[family] = np.polyfit(times, norms[:, :35].T, 1)[0].mean()
        assert predicted is not None
        expected = np.polyfit(times, predicted[:35], 1)[0]
        np.testing.assert_allclose(slopes[family], expected, rtol=0.2)
    assert slopes["RNN"] > 2.5 * slopes["LSTM"] > 0


def test_further_families_forget_as_predicted_and_a_look_is_not_judged(monkeypatch):
    families = ("RNN, orthogonal", "LSTM, chrono", "minGRU")
    rows = time_settings.Row("adding", 40, 1), time_settings.Row("adding", 60)
    settings = time_settings.TimeSettings(rows, 32, 1, 16, 3e-3, families)
    monkeypatch.setitem(time_study.SCALES, "smoke", settings)
    arms = {arm.name: arm for arm in time_study.arms("smoke", "")}
    assert list(arms) == [
        f"{name}-{length}"
        for length in (40, 60)
        for name in ("rnn-orthogonal", "lstm-chrono", "mingru")
    ]
    steps = np.arange(35)
    for name, tolerance in (("rnn-orthogonal-40", 0.5), ("mingru-40", 0.1)):
        norms, predicted = profiles(time_study, arms[name])
        assert predicted is not None
        slopes = np.polyfit(steps, norms[:, :35].T, 1)[0]
        expected = np.polyfit(steps, predicted[:35], 1)[0]
        np.testing.assert_allclose(slopes.mean(), expected, rtol=tolerance)
    look = time_study.run(arms["lstm-chrono-60"], (0,), lambda *figures: None)
    metrics = {record.metric for record in look.records}
    assert "log10_gradient_norm" in metrics and "solved" not in metrics


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_some_steps_in_the_middle_stand_for_a_long_sequence(name, monkeypatch, rng):
    layer = {"gru": nn.GRU, "lstm": nn.LSTM}[name](2, 16, rngs=nnx.Rngs(0))
    params = jax.tree.map(lambda a: a[None], layer.params)
    profile = getattr(time_prediction.theory, f"{name}_gradient_profile")
    counted = []

    def count(*gates, **options):
        counted.append(len(gates[0]))
        return profile(*gates, **options)

    monkeypatch.setattr(time_prediction.theory, f"{name}_gradient_profile", count)
    x = rng.normal(size=(4, 120, 2)).astype(np.float32)
    whole = time_prediction.gated_slope(params, x, 1 / 3)
    monkeypatch.setattr(time_prediction, "LONGEST", 40)
    some = time_prediction.gated_slope(params, x, 1 / 3)
    np.testing.assert_allclose(some, whole, rtol=0.1)
    assert counted == [120, 40]
