"""The contenders of a case compute the same; otherwise their times say nothing."""

import jax
import numpy as np
import pytest

from jaxnets.bench.grid import Row
from jaxnets.bench.suites import gradflow, ops, stack, training
from tests.bench.tiny import FLOW, FLOW_RESNET, LSTM, OPS, RESNET, STACKS


NAMES = ("kernel", "bias")
PARAMETERS = ("kernel", "scale", "bias")


@pytest.mark.parametrize("row", OPS, ids=lambda row: row.name)
def test_operations_agree_in_value_and_gradients(row):
    forward, gradients = ops.cases(row)
    assert [forward.direction, gradients.direction] == ["forward", "gradients"]
    assert forward.in_torch == gradients.in_torch == (row.spec["layers"] is None)
    # One program for all contenders, because compiling takes most of the time.
    computed = jax.jit(
        lambda all: {w: p.function(*all[w]) for w, p in programs.items()}
    )
    programs = gradients.programs
    results = computed({who: p.arguments for who, p in programs.items()})
    assert set(results) == set(forward.programs) >= {"ours", "flax"}
    ours = in_our_layout(row, "ours", results.pop("ours"))
    tolerance = 2e-2 if row.spec["dtype"] == "bfloat16" else 1e-5
    for who, other in results.items():
        other = in_our_layout(row, who, other)
        for a, b in zip(ours, other, strict=True):
            atol = tolerance * np.abs(a).max()
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=atol, err_msg=who)


def in_our_layout(row, who, results):
    """Value, gradient for the input and stacked gradients for any parameters."""
    value, *gradients = (np.asarray(array, np.float32) for array in results)
    if who == "outside":
        x, *each = gradients
        count = row.spec["layers"]
        stacks = [each[i : i + count] for i in range(0, len(each), count)]
        gradients = [x, *map(np.stack, stacks)]
    if who == "flax" and row.spec["function"] == "conv_transpose":
        gradients[1] = np.flip(gradients[1], (0, 1))
    return [value, *gradients]


@pytest.mark.parametrize("row", STACKS, ids=lambda row: row.name)
def test_stacks_agree_in_value_and_gradients(row):
    (case,) = stack.cases(row)
    (ours, ours_at, _), (other, other_at, _) = case.programs.values()
    (y, dx, grads), (y2, dx2, others) = jax.jit(lambda a, b: (ours(*a), other(*b)))(
        ours_at, other_at
    )
    if isinstance(others, list):
        others = jax.tree.map(lambda *each: np.stack(each), *others)
    expected, actual = map(jax.tree.leaves, ((y2, dx2, others), (y, dx, grads)))
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4 * np.abs(e).max())


def test_the_networks_take_the_same_step():
    (case,) = training.cases(RESNET)
    step, (state, batch) = case.programs["ours"][:2]
    peer_step, peer = case.programs["flax"][:2]
    peer_state, *peer_batch = peer
    for ours, theirs in pairs(state.params, peer_state[0]):
        theirs[...] = ours[...].reshape(theirs.shape)
    state, report = jax.jit(step)(state, batch)
    peer_state, loss = jax.jit(peer_step)(peer_state, *peer_batch)
    np.testing.assert_allclose(report.loss, loss, rtol=1e-5)
    updated = pairs(state.params, peer_state[0])
    assert sum(theirs.size for _, theirs in updated) == case.parameters
    for ours, theirs in updated:
        ours = ours[...].reshape(theirs.shape)
        np.testing.assert_allclose(theirs[...], ours, rtol=1e-4, atol=1e-5)


def test_the_recurrent_networks_take_the_same_step():
    (case,) = training.cases(LSTM)
    (step, (state, batch), _), (peer_step, (peer, *peer_batch), _) = (
        case.programs["ours"],
        case.programs["flax"],
    )

    def ours(state):
        params, output = state.params["recurrent"], state.params["output"]
        return [*(params[n] for n in ("w_xh", "w_hh", "b")), *map(output.get, NAMES)]

    def theirs(state):
        cell, output = state[0]["recurrent"]["cell"], state[0]["output"]
        inner = cell["dense_i"]["kernel"], *map(cell["dense_h"].get, NAMES)
        return [*inner, *map(output.get, NAMES)]

    for array, peer_array in zip(ours(state), theirs(peer), strict=True):
        peer_array[...] = array[...]
    state, report = jax.jit(step)(state, batch)
    peer, loss = jax.jit(peer_step)(peer, *peer_batch)
    np.testing.assert_allclose(report.loss, loss, rtol=1e-5)
    for array, peer_array in zip(ours(state), theirs(peer), strict=True):
        np.testing.assert_allclose(peer_array[...], array[...], rtol=1e-4, atol=1e-5)


def test_an_epoch_is_as_many_steps_in_both():
    (case,) = training.cases(Row("lstm", LSTM.spec | {"updates": 2}))
    (epoch, (state, batches), _), (loop, (modules, peer_batches), _) = (
        case.programs["ours"],
        case.programs["flax"],
    )
    (single,) = training.cases(LSTM)
    step = jax.jit(single.programs["ours"].function)
    after, losses = state, []
    for n in range(2):
        after, report = step(after, jax.tree.map(lambda a, n=n: a[n], batches))
        losses.append(report.loss)
    last, reports = jax.jit(epoch)(state, batches)
    np.testing.assert_allclose(reports.loss, losses, rtol=1e-6)
    for a, e in zip(*map(jax.tree.leaves, (last.params, after.params)), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-7)
    peer_step, (peer, *_), _ = single.programs["flax"]
    peer_step, losses = jax.jit(peer_step), []
    for x, labels in peer_batches:
        peer, loss = peer_step(peer, x, labels)
        losses.append(loss)
    np.testing.assert_allclose(loop(modules, peer_batches), losses, rtol=1e-5)
    assert len(losses) == 2


@pytest.mark.parametrize("row", [FLOW, FLOW_RESNET], ids=lambda row: row.name)
def test_every_case_of_a_network_measures_its_taps(row):
    cases = {case.direction: case for case in gradflow.cases(row)}
    assert list(cases) == ["norms", "everything", "scheduled", "monitor"]
    del cases["monitor"]
    for case in cases.values():
        measured, plain = (
            jax.eval_shape(program.function, *program.arguments)[1]
            for program in case.programs.values()
        )
        assert plain.watched is None and measured.loss.shape == plain.loss.shape
        taps = measured.watched if case.direction == "norms" else measured.watched[0]
        assert len(taps) > 3


def test_measuring_changes_no_step():
    cases = {case.direction: case for case in gradflow.cases(FLOW)}
    programs = cases["scheduled"].programs
    (state, report), (plain_state, plain) = (
        jax.jit(programs[who].function)(*programs[who].arguments)
        for who in ("ours", "plain")
    )
    every = FLOW.spec["every"]
    assert int(state.step) == int(plain_state.step) == every
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        (state.params, report.loss),
        (plain_state.params, plain.loss),
    )
    taps, responses = report.watched
    for stats in taps.values():
        assert np.isfinite(stats.norm[0]).all() and np.isnan(stats.norm[1:]).all()
    assert list(taps) == list(responses) and len(taps) > 3


def test_a_monitor_changes_no_step():
    cases = {case.direction: case for case in gradflow.cases(FLOW)}
    (state, value), (plain_state, plain) = (
        program.function(*program.arguments)
        for program in cases["monitor"].programs.values()
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        (state.params, value),
        (plain_state.params, plain),
    )


def pairs(ours, peer):
    """Parameters of our network, which has one block a stage, with those of Flax."""
    layers = [(ours[name], peer[name]) for name in ("stem", "stem_norm", "output")]
    for number, theirs in peer["blocks"].items():
        block = ours["stages"][number][0]
        # The first stage is a stack of a single block.
        branch = block.get("blocks", block)["branch"]
        layers += [(branch[name], theirs[name]) for name in branch]
    return [(a[name], b[name]) for a, b in layers for name in a if name in PARAMETERS]
