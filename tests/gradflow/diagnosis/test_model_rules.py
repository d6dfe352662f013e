"""The rules by which a user's network is judged, on made-up numbers."""

import math

import pytest

from jaxnets.gradflow import verdicts
from jaxnets.runs.records import Record
from tests.gradflow.diagnosis.run_records import one


ZERO = -math.inf


def records(metric, by_place, *, step=0, seeds=3):
    return [
        Record("model", "net", "net", 1.0, seed, step, metric, place, None, value)
        for seed in range(seeds)
        for place, value in by_place.items()
    ]


def arrays(gradients, weights=None, step=0):
    weights = dict.fromkeys(gradients, 0.0) | (weights or {})
    return records("log10_array_gradient_norm", gradients, step=step) + records(
        "log10_array_weight_norm", weights, step=step
    )


def chain(norms, sizes):
    """A chain of taps with the given log10 of gradient and signal."""
    found = []
    for position, (name, norm) in enumerate(norms.items()):
        found += [
            record._replace(position=position)
            for record in records("log10_gradient_norm", {name: norm})
            + records("chain", {name: 0.0}, seeds=1)
        ]
        found += records("response_std", {name: 10.0 ** sizes[position]})
        found += records("response_mean", {name: 0.0})
    return found


def alarms(found):
    return [v for v in found if v.severity in ("fault", "warning")]


def test_a_part_without_a_gradient_is_detached():
    found = arrays({"body/0/kernel": ZERO, "body/0/bias": ZERO, "head/kernel": -1.0})
    found += records("blocked", {"body/0/kernel|stop_gradient|net.py:7": 1.0}, seeds=1)
    found += records("blocked", {"body/0/bias|stop_gradient|net.py:7": 1.0}, seeds=1)
    verdict = one(verdicts(found))
    assert (verdict.kind, verdict.severity) == ("detached", "fault")
    assert verdict.where == "net, before training, body (body/0)"
    assert "stop_gradient at net.py:7" in verdict.cause
    assert verdict.number == 2


def test_zeros_before_the_loss_is_reached_are_no_underflow():
    norms = {step: -2.0 * (19 - step) for step in range(20)} | {19: ZERO}
    state = lambda norms: [
        record._replace(position=step)
        for step, norm in norms.items()
        for record in records("log10_gradient_norm", {"cell/c": norm})
    ]
    # The loss reads h of the last step, not c.
    verdict = one(verdicts(state(norms)))
    assert verdict.kind == "vanishing"
    assert "number format" not in verdict.sentence
    assert verdict.remedy.startswith("If the cell has no gates, use an LSTM or GRU")
    lost = verdicts(state(norms | {0: ZERO, 1: ZERO}))
    assert "At 2 of the steps it was too small" in one(lost).sentence


def test_what_the_loss_leaves_out_has_the_line_of_its_last_use():
    found = arrays({"a/kernel": ZERO, "b/kernel": -1.0})
    found += records("blocked", {"a/kernel|unused|net.py:7": 0.0}, seeds=1)
    verdict = one(verdicts(found))
    assert "does not depend on it (last used at net.py:7)" in verdict.sentence


def test_a_target_network_is_no_fault():
    found = arrays({"target/kernel": ZERO, "online/kernel": -1.0})
    found += records("blocked", {"target/kernel|target|net.py:7": 4.0}, seeds=1)
    verdict = one(alarms(verdicts(found)))
    assert (verdict.kind, verdict.severity) == ("detached", "warning")
    assert "a target network" in verdict.cause and "net.py:7" in verdict.remedy


def test_a_network_without_any_gradient_is_not_healthy():
    kernels = {"body/kernel": ZERO, "head/kernel": ZERO}
    verdict = one(alarms(verdicts(arrays(kernels))))
    assert (verdict.kind, verdict.severity) == ("detached", "fault")
    assert "no parameter has a gradient" in verdict.sentence
    assert "clip" in verdict.remedy


@pytest.mark.parametrize(("numbers", "idle"), [((0, 1, 2), True), ((0, 0, 0), False)])
def test_a_part_beside_like_parts_that_learn_may_be_idle(numbers, idle):
    norms = {f"moe/{n}/up/kernel": -1.0 if n != 1 else ZERO for n in range(3)}
    found = arrays(norms)
    for n, number in enumerate(numbers):
        found += records("chain", {f"moe/{n}/up/relu": float(number)}, seeds=1)
    verdict = one(alarms(verdicts(found)))
    assert verdict.severity == ("warning" if idle else "fault")
    assert ("idle on this batch" in verdict.sentence) == idle


def test_what_wakes_up_is_not_detached():
    found = arrays({"low/a": ZERO, "low/b": -1.0}, {"low/b": ZERO})
    asleep = records("log10_woken_gradient_norm", {"low/a": ZERO})
    woken = records("log10_woken_gradient_norm", {"low/a": -2.0})
    assert one(verdicts(found + asleep)).kind == "detached"
    later = records("log10_array_gradient_norm", {"low/a": -2.0}, step=9)
    assert one(verdicts(found + woken)).kind == "healthy"
    assert "detached" not in {v.kind for v in verdicts(found + later)}


def test_a_bias_before_a_normalisation_and_a_gradient_that_underflows():
    bias = arrays({"conv/kernel": -1.0, "conv/bias": ZERO})
    assert not alarms(verdicts(bias))
    # An energy may be shifted: only its gradient is used.
    unused = records("blocked", {"conv/bias|unused|net.py:7": 0.0}, seeds=1)
    assert not alarms(verdicts(bias + unused))
    underflow = arrays({"a/kernel": ZERO, "b/kernel": -38.0, "c/kernel": -1.0})
    assert "detached" not in {v.kind for v in verdicts(underflow)}


def test_biases_at_zero_are_no_second_zero():
    weights = {"a/kernel": 0.0, "a/bias": ZERO, "up": ZERO}
    zero = arrays({"a/kernel": ZERO, "a/bias": ZERO, "head/kernel": -1.0}, weights)
    verdict = one(verdicts(zero))
    assert verdict.number == 2
    assert "a clip" in verdict.cause


@pytest.mark.parametrize(
    ("norms", "severity"),
    [
        ({"query": -1.8, "key": -1.8, "softmax": 0.0}, "warning"),
        ({"a": -6.0, "b": -3.0, "c": 0.0}, "fault"),
        ({"a": -2.4, "b": -1.8, "c": -1.2, "d": -0.6, "e": 0.0}, "fault"),
        # An attention is even before it has learned where to look.
        (
            {"key": -1.9, "at/softmax": 0.0, "b": 0.0, "c": 0.0, "d": 0.0},
            "warning",
        ),
    ],
)
def test_a_fault_of_depth_has_several_layers(norms, severity):
    verdict = one(alarms(verdicts(chain(norms, [0.0] * len(norms)))))
    assert (verdict.kind, verdict.severity) == ("vanishing", severity)


@pytest.mark.parametrize(("layers", "severity"), [(5, "warning"), (9, "fault")])
def test_a_fault_of_a_branch_has_many_layers(layers, severity):
    level = chain(dict.fromkeys([f"body/{n}" for n in range(4)], 0.0), [0.0] * 4)
    norms = {f"branch/{n}": -0.4 * (layers - n) for n in range(layers)}
    branch = chain(norms, [0.0] * layers)
    branch = [
        r._replace(value=1.0) if r.metric == "chain" else r._replace(position=None)
        for r in branch
    ]
    verdict = one(alarms(verdicts(level + branch)))
    assert (verdict.kind, verdict.severity) == ("vanishing", severity)


def test_a_gain_is_no_fault_but_a_lost_product_is():
    names = [f"body/{n}" for n in range(9)]
    falls = dict(zip(names, [-0.25 * (8 - n) for n in range(9)], strict=True))
    level = dict.fromkeys((f"{name}/kernel" for name in names), -1.0)
    # The signal falls as the gradient grows: each layer has a gain below one.
    signal = [-0.25 * n for n in range(9)]
    (verdict,) = verdicts(chain(falls, [s + 1.0 for s in signal]) + arrays(level))
    assert verdict.kind == "healthy"
    # The signal keeps its size, and the weights of the first layers get less.
    uneven = {f"{name}/kernel": value for name, value in falls.items()}
    (verdict,) = verdicts(chain(falls, [0.0] * 9) + arrays(uneven))
    assert (verdict.kind, verdict.severity) == ("vanishing", "fault")
    assert "body/0 to body/8" in verdict.where and verdict.reference
    # The same gradients, but all weights get as much: nothing is lost.
    assert not alarms(verdicts(chain(falls, [0.0] * 9) + arrays(level)))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("slope", "moves", "severity"),
    [
        (0.25, 0.0, "well"),
        (0.25, 0.25, "fault"),
        (0.5, 0.0, "warning"),
        (1.0, 0.0, "fault"),
        (0.25, ZERO, "fault"),
    ],
)
def test_updates_that_an_optimiser_evens_out(slope, moves, severity, sign):
    names = [f"body/{n}" for n in range(9)]
    falls = {name: -sign * slope * (8 - n) for n, name in enumerate(names)}
    gradients = {f"{name}/kernel": value for name, value in falls.items()}
    found = chain(falls, [0.0] * 9) + arrays(gradients)
    # A rate of zero tells nothing about the layers.
    moved = {
        f"{name}/kernel": -3.0 - (sign * moves * (8 - n) if n < 8 else moves)
        for n, name in enumerate(names)
    }
    if moves == ZERO:
        moved = dict.fromkeys(moved, ZERO)
    found += records("log10_array_update_norm", moved)
    judged = verdicts(found)
    verdict = judged[0]
    assert verdict.severity == severity
    if severity == "well":
        assert verdict.kind == "healthy"
        assert "the optimiser evens this out" in verdict.sentence
    else:
        assert verdict.kind == ("vanishing" if sign > 0 else "exploding")
        evened = moves == 0.0
        assert ("makes the updates of all layers alike" in verdict.cause) == evened


def test_weights_are_found_by_an_output_of_their_module_and_by_a_later_call():
    # A layer that returns (state, ys) is tapped as `recurrent/1`.
    norms = {"recurrent/1": -2.0, "body#2": -1.0, "output": 0.0}
    gradients = {"recurrent/w_hh": -2.0, "body/kernel": -1.0, "output/kernel": 0.0}
    found = chain(norms, [0.0] * 3) + arrays(gradients)
    assert one(alarms(verdicts(found))).kind == "vanishing"
    level = records("log10_array_update_norm", dict.fromkeys(gradients, -3.0))
    assert not [v for v in verdicts(found + level) if v.severity == "fault"]


def test_a_normalisation_of_a_small_signal_is_no_explosion():
    norms = {"embed": 2.2, "norm": 0.0, "mix": 0.0, "head": 0.0}
    level = arrays({f"{name}/kernel": -1.0 for name in norms})
    assert not alarms(verdicts(chain(norms, [-2.2, 0.0, 0.0, 0.0]) + level))
    # Without a norm the signal stays large.
    verdict = one(alarms(verdicts(chain(norms, [0.0, 2.2, 2.2, 2.2]) + level)))
    assert verdict.kind == "exploding"


@pytest.mark.parametrize(
    ("ratio", "losses", "gradient", "kind"),
    [
        (-3.0, [2.0, 1.5, 1.0], -1.0, None),
        (0.5, [2.0, 9.0, 8.0], -1.0, "rate-too-high"),
        (0.5, [2.0, 1.0, 0.5], -1.0, None),
        (0.5, [], -1.0, "rate-too-high"),
        (0.5, [2.0, math.nan, math.nan], -1.0, "rate-too-high"),
        (-7.0, [2.0, 2.0, 2.0], -1.0, "rate-too-low"),
        (-7.0, [], -1.0, "rate-too-low"),
        (ZERO, [2.0, 2.0, 2.0], -1.0, "rate-too-low"),
        # Without a usable gradient in the first step, the rate is not to blame.
        (ZERO, [2.0, 2.0, 2.0], ZERO, None),
        (math.nan, [2.0, math.nan, math.nan], math.nan, None),
    ],
)
def test_learning_rates(ratio, losses, gradient, kind):
    found = arrays({"a/kernel": gradient}) + records(
        "log10_array_update_norm", {"a/kernel": ratio}
    )
    for step, loss in enumerate(losses):
        found += records("loss", {"": loss}, step=step)
    kinds = {v.kind for v in alarms(verdicts(found))} - {"non-finite", "detached"}
    assert kinds == ({kind} if kind else set())


def test_updates_of_zero_between_those_that_collect_gradients():
    still = {"a/kernel": ZERO}
    found = arrays({"a/kernel": -1.0}) + arrays(
        {"a/kernel": -1.0}, {"a/kernel": 0.01}, 20
    )
    for step in (0, 20):
        found += records("log10_array_update_norm", still, step=step)
        found += records("loss", {"": 2.0}, step=step)
    assert not alarms(verdicts(found))


@pytest.mark.parametrize(("bits", "words"), [(16.0, "precision"), (32.0, "too small")])
def test_updates_that_are_rounded_away(bits, words):
    found = arrays({"a/kernel": -1.0})
    found += records("log10_array_update_norm", {"a/kernel": -9.0})
    found += records("array_moved_share", {"a/kernel": 0.0})
    found += records("dtype_bits", {f"a/kernel|float{bits:.0f}": bits}, seeds=1)
    verdict = [v for v in alarms(verdicts(found)) if v.kind == "rate-too-low"]
    assert words in one(verdict).cause


def test_units_after_activations_only():
    level = arrays({"a/kernel": -1.0})
    # A one-hot output has zeros and is no ReLU.
    zeros = records("zero_share", {"one_hot": 0.97}) + records(
        "off_share", {"a/relu": 0.5}
    )
    assert not alarms(verdicts(level + zeros))
    dead = records("dead_share", {"a/relu": 0.85})
    verdict = one(alarms(verdicts(level + dead)))
    assert verdict.kind == "dead" and verdict.where.endswith("a/relu")
    flat = records("flat_share", {"a/softmax": 0.9, "b/tanh": 0.2})
    verdict = one(alarms(verdicts(level + flat)))
    assert verdict.kind == "saturated" and "1/sqrt(d)" in verdict.remedy


@pytest.mark.parametrize(("why", "severities"), [("log", []), ("gate", ["note"])])
def test_flat_outputs_of_a_log_loss_and_gates_are_no_faults(why, severities):
    level = arrays({"a/kernel": -1.0}) + arrays({"a/kernel": -1.0}, step=9)
    # The program is looked at before training.
    level += records("may_be_flat", {f"a/sigmoid|{why}": 1.0})
    level += records("flat_share", {"a/sigmoid": 0.95}, step=9)
    found = [v.severity for v in verdicts(level) if v.kind == "saturated"]
    assert found == severities


def test_a_layer_that_starts_at_zero_and_ends_the_network_is_not_dead():
    zero = chain({"head": 0.0}, [-math.inf]) + records("zero_share", {"head": 1.0})
    level = arrays({"kernel": 0.0, "bias": 0.0}, {"kernel": ZERO, "bias": ZERO})
    level += records("array_zero_share", {"kernel": 1.0, "bias": 1.0})
    assert not alarms(verdicts(zero + level))


def test_units_that_are_dead_because_their_weights_are_zero():
    dead = records("dead_share", {"a/relu": 1.0}) + records("off_share", {"a/relu": 1})
    kernels = {"a/kernel": ZERO, "b/kernel": ZERO}
    verdict = one(verdicts(dead + arrays(kernels, kernels)))
    assert verdict.cause == "All parameters of a are zero."
    assert "at random" in verdict.remedy


def test_two_faults_have_one_cause():
    level = arrays({"a/kernel": -1.0, "b/kernel": -1.0})
    moves = records("log10_array_update_norm", {"a/kernel": 0.5, "b/kernel": 0.5})
    losses = [r for s in range(3) for r in records("loss", {"": 2.0 + s}, step=s)]
    dead = records("dead_share", {"a/relu": 0.0}) + records(
        "dead_share", {"a/relu": 0.9}, step=2
    )
    gradients = arrays({"a/kernel": -1.0}, step=2)
    taps = chain({"a": 0.0, "b": 0.0}, [0.0, 0.0])
    late = [r._replace(step=2) for r in taps]
    found = verdicts(level + moves + losses + dead + gradients + taps + late)
    # What the rate has done is no fault of its own.
    assert {v.kind for v in alarms(found)} == {"rate-too-high"}
    assert one(found, kind="dead").severity == "note"
    assert "A consequence of the learning rate" in one(found, kind="dead").cause
    assert "90 % of the ReLU units" in one(found, kind="rate-too-high").cause


def over_time(tap, factor, steps):
    found = []
    for t in range(steps):
        norm = {tap: math.log10(factor) * (steps - 1 - t)}
        rows = records("log10_gradient_norm", norm)
        found += [record._replace(position=t) for record in rows]
    return found


def test_time_is_a_fault_where_nothing_is_left():
    level = arrays({"rnn/kernel": -1.0})
    severities = {
        (factor, steps): [
            v.severity for v in verdicts(level + over_time("rnn/h", factor, steps))
        ]
        for factor, steps in ((0.05, 20), (0.6, 20), (0.6, 90), (0.98, 60))
    }
    assert severities[0.05, 20] == ["fault"]  # a memory of two steps
    assert severities[0.6, 20] == ["warning"]  # as an LSTM of the usual start
    assert severities[0.6, 90] == ["fault"]  # half of the steps are lost in rounding
    assert severities[0.98, 60] == ["well"]
    # The gradient finds its way through c.
    both = over_time("rnn/h", 0.05, 20) + over_time("rnn/c", 0.98, 20)
    assert not alarms(verdicts(level + both))


def test_layers_beside_each_other_are_no_states_of_one_layer():
    level = arrays({"cells/0/kernel": -1.0, "cells/1/kernel": -1.0})
    cells = over_time("cells/0", 0.05, 20) + over_time("cells/1", 0.98, 20)
    alarm = one(alarms(verdicts(level + cells)))
    assert (alarm.severity, "cells/0" in alarm.where) == ("fault", True)
    assert "use an LSTM" in alarm.remedy
    lstm = over_time("rnn/h", 0.05, 20) + over_time("rnn/c", 0.05, 20)
    assert all("use an LSTM" not in v.remedy for v in alarms(verdicts(lstm)))


@pytest.mark.parametrize(
    ("mean", "loss", "fault"),
    [(ZERO, 1.0, False), (math.nan, 1.0, True), (ZERO, math.nan, True)],
)
def test_logits_of_minus_infinity_are_a_mask_if_all_else_is_finite(mean, loss, fault):
    found = arrays({"a/kernel": -1.0}) + records("loss", {"": loss})
    found += records("response_mean", {"a": mean}) + records(
        "response_std", {"a": math.nan}
    )
    found += records("nonfinite_share", {"a": 0.5})
    assert ("non-finite" in {v.kind for v in verdicts(found)}) == fault


def test_an_origin_of_nan_is_named_and_nothing_is_called_healthy():
    found = arrays({"a/kernel": math.nan}) + records("loss", {"": math.inf})
    found += records("nonfinite_origin", {"a|log|net.py:9": 0.0}, seeds=1)
    verdict = one(verdicts(found))
    assert verdict.kind == "non-finite"
    assert verdict.where == "net, in the forward pass, log at net.py:9, after a"
    assert "log_softmax" in verdict.remedy and "zero" in verdict.cause


@pytest.mark.parametrize(
    ("place", "backward", "where", "cause"),
    [
        ("a|log|net.py:9", 1.0, "in the backward pass, log at", "derivative of a log"),
        ("|argument|", 0.0, "net, the batch", "batch holds"),
        ("a|dot_general|net.py:9", 0.0, "dot_general at net.py:9", "larger than the"),
        ("|parameter|a/kernel", 0.0, "net, parameter a/kernel", "from the start"),
    ],
)
def test_where_a_nan_comes_from(place, backward, where, cause):
    found = records("loss", {"": math.nan})
    found += records("nonfinite_origin", {place: backward}, seeds=1)
    verdict = alarms(verdicts(found))[0]
    assert where in verdict.where
    assert cause in verdict.cause
    assert "`argument`" not in verdict.sentence


def test_layers_that_collapse():
    names = dict.fromkeys(["a", "b", "c", "head"], 0.0)
    found = chain(names, [0.0] * 4)
    falls = records("effective_rank", {"a": 6.0, "b": 1.01, "c": 1.01, "head": 1.01})
    verdict = one(alarms(verdicts(found + falls)))
    assert verdict.kind == "rank-collapse" and verdict.where.endswith(", b")
    # All units are the same, or multiples of each other, as behind a scalar input.
    line = records("effective_rank", dict.fromkeys("abc", 1.0))
    same, multiples = (
        records("unit_distinct_share", dict.fromkeys("abc", share))
        for share in (0.0, 0.6)
    )
    assert one(alarms(verdicts(found + line + same))).kind == "rank-collapse"
    assert not alarms(verdicts(found + line + multiples))
    # Only an output has few dimensions.
    narrow = records("effective_rank", {"a": 6.0, "b": 4.0, "c": 3.0, "head": 1.0})
    assert not alarms(verdicts(found + narrow))
    alike = [
        record._replace(value=record.value * 10.0**-record.seed)
        for record in records("distinct_share", {"a": 0.5, "b": 1e-5, "c": 1e-6})
    ]
    verdict = one(alarms(verdicts(found + narrow + alike)))
    assert verdict.low is not None and verdict.low >= 0
    assert verdict.where.endswith(", b") and "nearly the same" in verdict.sentence
    inputs = records("distinct_share", dict.fromkeys("abc", 1e-5))
    verdict = one(alarms(verdicts(found + narrow + inputs)))
    assert verdict.severity == "warning" and "Standardise" in verdict.remedy


def test_a_loss_of_the_wrong_sign_and_one_that_squashes_twice():
    level = arrays({"a/kernel": -1.0})
    classes = records("classes", {"": 10.0}, seeds=1)
    start = records("loss", {"": -2.3})
    verdict = one(alarms(verdicts(level + classes + start)))
    assert (verdict.kind, verdict.severity) == ("wrong-loss", "fault")
    assert "never negative" in verdict.sentence
    falls = [-2.0, -9.0, -60.0, -900.0, math.nan]
    curve = [r for s, v in enumerate(falls) for r in records("loss", {"": v}, step=s)]
    moves = records("log10_array_update_norm", {"a/kernel": 0.5})
    found = alarms(verdicts(level + moves + curve))
    # The rate is not to blame.
    assert {v.kind for v in found} == {"wrong-loss", "non-finite"}
    assert "sign of the loss" in one(found, kind="non-finite").cause
    # Nothing was trained, and the number of classes is not known.
    metric = "loss_along_gradient"
    along = [r for v in falls[:-1] for r in records(metric, {"": v})]
    verdict = one(alarms(verdicts(level + start + along)))
    assert (verdict.kind, verdict.severity) == ("wrong-loss", "warning")
    assert "along its negative gradient to -900" in verdict.sentence
    # A log-density may be negative, and has a floor.
    bounded = [-2.0, -9.0, -12.0, -13.0]
    curve = [r for s, v in enumerate(bounded) for r in records("loss", {"": v}, step=s)]
    assert not alarms(verdicts(level + curve))
    along = [r for v in bounded for r in records(metric, {"": v})]
    assert not alarms(verdicts(level + start + along))
    twice = records("squashed_twice", {"softmax|net.py:7": 1.0}, seeds=1)
    found = verdicts(level + classes + twice + records("loss", {"": 2.31}))
    verdict = one(found, kind="wrong-loss")
    assert verdict.where == "net, loss at net.py:7" and "logits" in verdict.remedy
    assert verdict.threshold == pytest.approx(math.log(1 + 9 / math.e))


def test_what_the_last_of_several_like_parts_leaves_out_is_a_warning():
    gradients = {f"res/{n}/kernel": -1.0 for n in range(4)}
    severities = []
    for unused in (1, 3):
        found = arrays(gradients | {f"res/{unused}/kernel": ZERO})
        found += records("blocked", {f"res/{unused}/kernel|unused|": 0.0}, seeds=1)
        severities.append(one(alarms(verdicts(found))).severity)
    assert severities == ["fault", "warning"]


def test_parameters_of_whole_numbers():
    found = arrays({"a/kernel": -1.0}) + records(
        "dtype_bits", {"scale|int32": 32.0, "a/kernel|float32": 32.0}, seeds=1
    )
    verdict = one(alarms(verdicts(found)))
    assert (verdict.kind, verdict.severity) == ("detached", "warning")
    assert verdict.where == "net, scale"


def test_two_states_of_one_layer_have_one_verdict():
    both = over_time("rnn/h", 0.6, 20) + over_time("rnn/c", 0.55, 20)
    verdict = one(alarms(verdicts(arrays({"rnn/kernel": -1.0}) + both)))
    assert "rnn/h" in verdict.where and "The same holds at c," in verdict.sentence


def test_the_advice_of_a_layer_is_for_its_activation():
    names = [f"body/{n}" for n in range(9)]
    falls = dict(zip(names, [-0.25 * (8 - n) for n in range(9)], strict=True))
    uneven = {f"{name}/kernel": value for name, value in falls.items()}
    found = chain(falls, [0.0] * 9) + arrays(uneven)
    remedies = {}
    for kind in ("relu", "sigmoid", "tanh"):
        known = records("activation", {f"{n}/{kind}|{kind}": 1.0 for n in names})
        remedies[kind] = one(alarms(verdicts(found + known))).remedy
    assert remedies["relu"].startswith("Use He's initialiser")
    assert "instead of sigmoid" in remedies["sigmoid"]
    assert "instead of tanh" in remedies["tanh"] and "LeCun's" in remedies["tanh"]


@pytest.mark.parametrize(
    ("sharp", "losses", "severity"),
    [
        (1.0, [], None),
        (30.0, [], "note"),
        (90.0, [], "warning"),
        (90.0, [2, 1], "note"),
    ],
)
def test_sharpness_times_learning_rate(sharp, losses, severity):
    found = arrays({"a/kernel": -1.0}) + records("sharpness", {"": sharp}, seeds=1)
    found += records("learning_rate", {"": 0.1}, seeds=1)
    for step, loss in enumerate(losses):
        found += records("loss", {"": float(loss)}, step=step)
    about = [v for v in verdicts(found) if "sharpness" in v.where]
    assert [v.severity for v in about] == ([severity] if severity else [])
    if about:
        assert one(about).number == pytest.approx(0.1 * sharp)


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (3.0, "hardly give"),
        (40.0, "partly signal"),
        (900.0, "is noise"),
        (math.inf, "noise"),
    ],
)
def test_the_noise_of_the_gradient(scale, words):
    found = arrays({"a/kernel": -1.0}) + records("batch_size", {"": 32.0})
    found += records("gradient_noise_scale", {"": scale})
    verdict = one([v for v in verdicts(found) if "noise of" in v.where])
    assert verdict.severity == "note" and words in verdict.sentence


def test_an_attention_that_looks_at_one_key():
    found = arrays({"a/kernel": -1.0}) + records("flat_share", {"a/softmax": 0.2})
    found += records("attention_logit_size", {"a/softmax": 12.0})
    sharp, wide = (
        records("attention_entropy", {"a/softmax": value}) for value in (0.03, 0.6)
    )
    verdict = one(alarms(verdicts(found + sharp)))
    assert verdict.kind == "saturated" and "exceeds the mean by 12" in verdict.sentence
    assert not alarms(verdicts(found + wide))
