"""The contenders of a case compute the same: else their times say nothing."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets import models
from jaxnets.bench import flax_resnet, ops, training
from jaxnets.training import classification, make_step, train_state
from tests.bench.tiny import OPS, RESNET


@pytest.mark.parametrize("row", OPS, ids=lambda row: row.name)
def test_operations_agree_in_value_and_gradients(row):
    forward, gradients = ops.cases(row)
    assert [forward.direction, gradients.direction] == ["forward", "gradients"]
    assert forward.in_torch == gradients.in_torch == (row.spec["layers"] is None)
    # What is computed is asked for in one program, to compile once.
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
    """Value, gradient by input and, if there is one, by the kernel or all kernels."""
    value, *gradients = (np.asarray(array, np.float32) for array in results)
    if who == "outside":
        gradients = [gradients[0], np.stack(gradients[1:])]
    if who == "flax" and row.spec["function"] == "conv_transpose":
        gradients[1] = np.flip(gradients[1], (0, 1))
    return [value, *gradients]


def test_the_networks_take_the_same_step():
    (case,) = training.cases(RESNET)
    network = models.ResNet(8, 3, 5, rngs=nnx.Rngs(0))
    peer = flax_resnet.ResNet(8, 3, 5, rngs=nnx.Rngs(1))
    copied(network, peer)
    assert case.parameters == training.parameter_count(peer)
    transform = optax.sgd(0.1, momentum=0.9)
    (_, batch) = case.programs["ours"].arguments
    graphdef, state = train_state(network, transform)
    step = jax.jit(make_step(graphdef, classification, transform))
    state, report = step(state, batch)
    flax_step, flax_state = flax_resnet.training_step(peer, transform)
    flax_state, loss = jax.jit(flax_step)(flax_state, *batch)
    np.testing.assert_allclose(report.loss, loss, rtol=1e-5)
    nnx.update(network, state.params)
    nnx.update((peer, nnx.Optimizer(peer, transform, wrt=nnx.Param)), flax_state)
    expected = copied(network, flax_resnet.ResNet(8, 3, 5, rngs=nnx.Rngs(2)))
    assert_same(nnx.state(peer, nnx.Param), nnx.state(expected, nnx.Param))


def copied(network, peer):
    """Give Flax's network the parameters of ours, which has one block a stage."""
    peer.stem.kernel[...] = network.stem.kernel[...]
    pairs = [(network.stem_norm, peer.stem_norm), (network.output, peer.output)]
    for theirs, (stage,) in zip(peer.blocks, network.stages, strict=True):
        # The first stage is a stack of one.
        block = getattr(stage, "blocks", stage)
        for name in ("first", "second", "first_norm", "second_norm"):
            pairs.append((getattr(block.branch, name), getattr(theirs, name)))
    for ours, theirs in pairs:
        for name in ("kernel", "scale", "bias"):
            target = getattr(theirs, name, None)
            if target is not None:
                target[...] = getattr(ours, name)[...].reshape(target.shape)
    return peer


def assert_same(tree, other):
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, tree, other)
