"""Selections of records."""

from jaxnets.runs.selection import after_training, before_training, ends, of_metric
from tests.report.synthetic import records_of


def test_steps_and_ends_are_those_of_each_arm():
    records = [r for r in records_of(["depth"], seeds=1) if r.arm == "plain-8"]
    norms = of_metric(records, "log10_gradient_norm")
    assert {r.step for r in before_training(norms)} == {0}
    assert {r.step for r in after_training(norms)} == {320}
    assert {r.position for r in ends(norms, max)} == {7}
