"""Hyper-connections in the study of depth: the composite gain and its figures."""

import dataclasses

import numpy as np

from jaxnets.studies.depth import settings, study
from tests.report.synthetic import section_of


def test_the_gain_is_recorded_and_drawn_and_the_constraint_keeps_it_at_one(monkeypatch):
    smoke = dataclasses.replace(settings.SCALES["smoke"], depths=(), hyper=(8,))
    monkeypatch.setitem(settings.SCALES, "smoke", smoke)
    arms = study.arms("smoke", "digits")
    assert [arm.name for arm in arms] == ["hyper-connections-8", "mhc-8"]
    records = [
        record
        for arm in arms
        for record in study.run(arm, (0,), lambda *figures: None).records
    ]
    for metric in ("log10_forward_gain", "log10_backward_gain"):
        gains = {
            (name, step): np.array(
                [
                    r.value
                    for r in records
                    if (r.metric, r.family, r.step) == (metric, name, step)
                ]
            )
            for name in ("hyper-connections", "mHC")
            for step in (0, 2)
        }
        assert all(values.shape == (3,) for values in gains.values())
        # The mixings begin at the identity matrix.
        np.testing.assert_allclose(gains["hyper-connections", 0], 0, atol=1e-5)
        assert np.abs(gains["hyper-connections", 2]).max() > 1e-4
        for step in (0, 2):
            np.testing.assert_allclose(gains["mHC", step], 0, atol=1e-2)
    metrics = {record.metric for record in records}
    assert {"lesion", "block_contribution", "log10_gradient_norm"} <= metrics
    section = section_of("depth", records)
    names = {figure.plot.name for figure in section.figures}
    assert {"forward-gain", "backward-gain", "block-contribution"} <= names
    assert section.table and "Composite gain after (log10)" in section.table.head
