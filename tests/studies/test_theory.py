"""What the studies show is what theory says, at small size."""

import dataclasses

import numpy as np
import pytest

from jaxnets.studies import depth, overhead
from jaxnets.studies import time as time_study


def profiles(study, arm, seeds=(0, 1)):
    """Norms before training `(seeds, positions)` and theory's line or None."""
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


def test_without_batch_norm_the_residual_net_keeps_its_gradient(deep):
    norms, predicted = profiles(depth, deep["residual"])
    assert (np.abs(norms[:, 0] - norms[:, -1]) < 0.5).all()
    assert predicted is not None
    np.testing.assert_allclose(norms.mean(axis=0), predicted, atol=0.1)


def test_with_batch_norm_the_plain_net_does_not_vanish(deep):
    norms, _ = profiles(depth, deep["plain + BatchNorm"])
    assert (norms[:, 0] > norms[:, -1]).all()


def test_rnn_forgets_as_predicted_and_much_faster_than_lstm(monkeypatch):
    settings = time_study.TimeSettings((40,), 32, 1, 1, 16, 3e-3)
    monkeypatch.setitem(time_study.SCALES, "smoke", settings)
    arms = {arm.family: arm for arm in time_study.arms("smoke", "")}
    slopes = {}
    for family in ("RNN", "LSTM"):
        norms, predicted = profiles(time_study, arms[family], seeds=(0, 1, 2, 3))
        # The last steps still carry the read-out's own scale.
        times = np.arange(35)
        slopes[family] = np.polyfit(times, norms[:, :35].T, 1)[0].mean()
        if family == "RNN":
            assert predicted is not None
            expected = np.polyfit(times, predicted[:35], 1)[0]
            np.testing.assert_allclose(slopes["RNN"], expected, rtol=0.2)
    assert slopes["RNN"] > 2.5 * slopes["LSTM"] > 0


def test_overhead_times_both_programs():
    (row,) = overhead.measuring_overhead("smoke")
    assert row["network"].startswith("LSTM")
    assert row["plain_ms"] > 0 and row["measured_ms"] > 0 and row["ratio"] > 0
