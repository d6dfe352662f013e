"""The study of time: its tasks, their records, and the curse of memory."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.gradflow import verdicts
from jaxnets.runs.catalogue import MEMORY_TASKS, memory_task
from jaxnets.studies.arm import Recorder
from jaxnets.studies.time import study
from jaxnets.studies.time.memory import memory_exponents
from jaxnets.studies.time.tasks import TASKS
from jaxnets.studies.training_run import Trained
from tests.report.synthetic import section_of


def test_tasks_have_the_wanted_length_and_splits_of_their_own():
    assert list(TASKS) == list(MEMORY_TASKS)
    for name, features in (("adding", 2), ("copying", 10), ("digits", 1)):
        x, y = TASKS[name].draw(jax.random.key(0), 3, 100, "train")
        assert x.shape == (3, 100, features) and len(y) == 3
    x, y = TASKS["copying"].draw(jax.random.key(0), 3, 100, "test")
    np.testing.assert_array_equal(jnp.argmax(x[:, :10], -1), y)
    # All steps but the delimiter's are blank after the symbols.
    assert np.argmax(x[0, 10:], -1).tolist() == [8] * 79 + [9] + [8] * 10
    x, _ = TASKS["digits"].draw(jax.random.key(0), 3, 100, "test")
    assert (x[:, 64:] == 0).all() and (x[:, :64] != 0).any()
    other, _ = TASKS["digits"].draw(jax.random.key(0), 3, 100, "validation")
    assert (x != other).any()


@pytest.mark.parametrize("scale", ["hour", "accelerator"])
def test_large_scales_train_each_task_over_a_thousand_steps(scale):
    trained = {row[:2] for row in study.SCALES[scale].rows if row.epochs}
    assert {(task, 1_000) for task in TASKS} <= trained
    if scale == "accelerator":
        assert {(task, 10_000) for task in TASKS} <= trained
    arms = study.arms(scale, "")
    assert len({arm.name for arm in arms}) == len(arms)
    for arm in arms:
        assert memory_task(arm.name) == arm.settings["row"]["task"]


def test_copying_is_measured_and_judged_apart_from_adding(monkeypatch):
    rows = study.Row("adding", 40, 1), study.Row("copying", 40, 1)
    settings = dataclasses.replace(study.SCALES["smoke"], rows=rows, families=("RNN",))
    monkeypatch.setitem(study.SCALES, "smoke", settings)
    records = [
        record
        for arm in study.arms("smoke", "")
        for record in study.run(arm, (0, 1), lambda *figures: None).records
    ]
    copying = [r for r in records if memory_task(r.arm) == "copying"]
    assert {"validation_accuracy", "solved"} <= {r.metric for r in copying}
    # Without memory, the best loss is ln 8.
    (loss, *_) = [r.value for r in copying if r.metric == "test_loss"]
    np.testing.assert_allclose(loss, np.log(8), rtol=0.1)
    # Theory's line ends where the answers begin.
    line = {r.position for r in copying if r.metric.startswith("predicted")}
    assert line == set(range(31))
    places = {verdict.where for verdict in verdicts(records)}
    assert {"RNN, 40 time steps, after 4 updates"} <= places
    assert {"RNN, copying, 40 time steps, after 4 updates"} <= places
    section = section_of("time", records)
    names = [figure.plot.name for figure in section.figures]
    assert {"gradient-explorer", "gradient-explorer-copying"} <= set(names)
    assert "validation-accuracy-copying" in names
    assert section.table
    assert [row[:2] for row in section.table.rows] == [
        ["RNN", "40"],
        ["RNN, copying", "40"],
    ]


HIDDEN = 32
# Of the gate that keeps the old state: time scales of 2 to 200 steps.
OPEN = np.log(np.geomspace(2, 200, HIDDEN))


def noise(gates, candidate):
    """Return input weights of the candidate alone, equal in size, and white noise."""
    rng = np.random.default_rng(0)
    w_xh = np.zeros((8, gates, HIDDEN), np.float32)
    w_xh[:, candidate] = 0.02 * rng.choice([-1, 1], size=(8, HIDDEN))
    x = np.float32(rng.normal(size=(16, 4096, 8)))
    return w_xh.reshape(8, -1), x


@pytest.mark.parametrize("coupled", [False, True])
def test_the_sensitivity_of_an_lstm_grows_with_memory_as_theory_says(coupled):
    # No gate depends on the input, and the candidate on nothing else.
    w_xh, x = noise(4, candidate=2)
    b = np.zeros((4, HIDDEN), np.float32)
    b[1] = OPEN
    if coupled:
        b[0] = -OPEN
    w_hh = np.zeros((HIDDEN, 4 * HIDDEN), np.float32)
    params = F.LSTMParams(w_xh=w_xh, w_hh=w_hh, b=b.ravel())
    several = jax.tree.map(lambda array: jnp.stack([jnp.asarray(array)] * 2), params)
    found = memory_exponents(several, x)
    np.testing.assert_allclose(found, 0.5 if coupled else 1.5, atol=0.1)


def test_the_sensitivity_of_a_min_gru_grows_by_half_the_power():
    w_xh, x = noise(2, candidate=1)
    b = np.float32(np.concatenate([OPEN, np.zeros(HIDDEN)]))
    params = F.MinGRUParams(w_xh=w_xh[None], b=b[None])
    np.testing.assert_allclose(memory_exponents(params, x), 0.5, atol=0.1)
    # Units of equal memory have no exponent.
    alike = params._replace(b=np.zeros_like(b)[None])
    assert np.isnan(memory_exponents(alike, x)).all()


def test_seeds_without_an_exponent_are_no_fault(monkeypatch):
    found = np.array([0.5, np.nan])
    monkeypatch.setattr(study, "_both_ends", lambda trained: [(7, None)])
    monkeypatch.setattr(study, "_recurrent_params", lambda trained, state: None)
    monkeypatch.setattr(study, "memory_exponents", lambda params, xs: found)
    arm = next(arm for arm in study.arms("hour", "") if arm.family == "GRU")
    recorder = Recorder(arm, seeds=(0, 1))
    fields: Any = (None,) * len(Trained._fields)
    study._record_memory(recorder, study.FAMILIES["GRU"], Trained(*fields), None)
    assert [(record.seed, record.value) for record in recorder.records] == [
        (0, 0.5)
    ] * 2
    assert not verdicts(recorder.records)
