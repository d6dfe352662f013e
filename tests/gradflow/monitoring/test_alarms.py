"""The alarms of a monitor: what they rest on, and that each is given once."""

from collections import OrderedDict

import jax.numpy as jnp
import pytest

from jaxnets.gradflow.evidence.arrays import ArrayStats
from jaxnets.gradflow.monitoring.alarms import FEWEST, Alarms
from jaxnets.gradflow.monitoring.numbers import Numbers, as_records
from jaxnets.gradflow.monitoring.sinks import MonitorReport, scalars
from jaxnets.gradflow.monitoring.stages import nonfinite_stage
from jaxnets.runs.records import Record


def numbers(
    head=1.0, norms=(1.0, 1.0, 1.0), loss=0.5, inputs=0.0, weight=1.0, body=1.0
):
    """Numbers of a step; `head` is the norm of the gradient of the head's kernel."""
    size = lambda value: jnp.float32(value)
    stats = lambda gradient, weight: ArrayStats(
        size(gradient), size(weight), None, None, size(0)
    )
    arrays = {"body/kernel": stats(0.1, body), "head/kernel": stats(head, weight)}
    names: list[str] = ["body", "relu", "head"]
    taps = OrderedDict(zip(names, map(size, norms), strict=True))
    return Numbers(size(loss), inputs, arrays, taps, dict.fromkeys(taps, 0.0))


def kinds(alarms, steps):
    return [[a.kind for a in alarms.of(each, n)] for n, each in enumerate(steps)]


def test_a_gradient_beyond_tenfold_of_the_median_is_reported_once_an_excursion():
    steps = [numbers()] * FEWEST + [numbers(h) for h in (9.0, 11.0, 50.0, 1.0, 20.0)]
    expected = [[]] * (FEWEST + 1) + [["exploding"], [], [], ["exploding"]]
    assert kinds(Alarms("mine"), steps) == expected
    alarms = Alarms("mine")
    kinds(alarms, steps[: FEWEST + 1])
    [alarm] = alarms.of(numbers(12.0), 12)
    assert alarm.where == "mine, step 12, head/kernel"
    assert alarm.number == pytest.approx(12.0, rel=0.01)
    assert "11.9 times its median over the last 9 measured steps" in alarm.sentence


def test_few_steps_have_no_usual_size():
    assert kinds(Alarms("mine"), [numbers()] * (FEWEST - 1) + [numbers(99.0)])[-1] == []


def test_a_gradient_of_zero_counts_after_an_update():
    dead = numbers(norms=(0.0, 0.0, 1.0))
    moved = numbers(norms=(0.0, 0.0, 1.0), body=1.1)
    alarms = Alarms("mine")
    # Without an update in between, a layer that starts at zero is still there.
    steps = [numbers(), dead, numbers(), dead, dead, moved, dead]
    assert kinds(alarms, steps) == [[], [], [], [], [], ["dead"], []]
    alarms = Alarms("mine")
    alarms.of(dead, 0)
    [alarm] = alarms.of(moved, 1)
    assert alarm.where == "mine, step 1, relu"
    assert "at 2 of 3 taps" in alarm.sentence
    # The loss of a solved task may be flat.
    assert kinds(Alarms("mine"), [numbers(norms=(0, 0, 0))] * 3) == [[], [], []]


def test_after_a_number_that_is_not_finite_there_are_no_more_alarms():
    nan = float("nan")
    steps = [numbers(), numbers(nan), numbers(nan, loss=nan, weight=nan)]
    assert kinds(Alarms("mine"), steps) == [[], ["non-finite"], []]


FINITE = {"kernel": True}
BROKEN = {"kernel": False}
NONE = {"body": 0.0, "head": 0.0}
BOTH = {"body": 0.5, "head": 0.5}
NAN = float("nan")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # A mask of infinities is no fault of its own.
        ((0.5, BROKEN, 1.0, BOTH, NONE, FINITE), None),
        ((0.5, BROKEN, NAN, BOTH, BOTH, BROKEN), ("inputs", None)),
        ((0.0, BROKEN, NAN, BOTH, BOTH, BROKEN), ("weights", "kernel")),
        ((0.0, FINITE, NAN, BOTH, BOTH, BROKEN), ("forward", "body")),
        ((0.0, FINITE, NAN, NONE, BOTH, BROKEN), ("loss", None)),
        ((0.0, FINITE, 1.0, NONE, BOTH, BROKEN), ("backward", "head")),
        ((0.0, FINITE, 1.0, NONE, NONE, BROKEN), ("gradient", "kernel")),
    ],
)
def test_the_first_number_that_is_not_finite_in_the_order_of_a_step(
    arguments, expected
):
    assert nonfinite_stage(*arguments) == expected


@pytest.mark.parametrize(("loss", "count"), [(0.5, 0), (NAN, 3)])
def test_outputs_count_only_if_the_loss_is_not_finite_either(loss, count):
    infinite = numbers(loss=loss)._replace(broken=dict.fromkeys(numbers().norms, 1.0))
    found = as_records(infinite, "mine", 0, 0)
    assert [r.metric for r in found].count("nonfinite_share") == count


def test_curves_of_a_time_loop_are_those_of_its_ends():
    record = Record("model", "m", "m", 1.0, 0, 0, "norm", "cell", 0, 1.0)
    records = [record._replace(position=t, value=float(t)) for t in range(5)]
    records.append(record._replace(metric="loss", place="", position=None))
    # The logarithm of a norm of zero, of which TensorBoard warns.
    zero = {
        "metric": "log10_array_weight_norm",
        "place": "bias",
        "value": float("-inf"),
    }
    records.append(record._replace(position=None, **zero))
    assert scalars(records) == [
        ("norm/cell/0", 0.0),
        ("norm/cell/4", 4.0),
        ("loss", 1.0),
    ]


def test_a_report_prints_its_alarms():
    [alarm] = Alarms("mine").of(numbers(loss=NAN), 3)
    text = str(MonitorReport(3, [], [alarm]))
    assert text.startswith("step 3\n  non-finite: The loss is not finite, although")


def test_a_broken_batch_is_looked_for_in_the_data_not_in_the_learning_rate():
    [alarm] = Alarms("mine").of(numbers(loss=NAN, inputs=0.1), 3)
    assert alarm.sentence == "The batch has numbers that are not finite."
    assert "missing values" in alarm.remedy and "learning rate" not in alarm.remedy
