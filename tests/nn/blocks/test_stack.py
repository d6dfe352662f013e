"""`nn.Stack` agrees with its blocks applied one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn
from jaxnets.gradflow import lesion_profile
from jaxnets.nn.blocks import stack as stack_module


COUNT = 3


class DropoutBlock(nnx.Module):
    """`x + dropout(x)`: its output shows which elements were dropped."""

    def __init__(self, rngs: nnx.Rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return x + self.dropout(x)


def make_stack(batch_norm=True):
    make = lambda rngs: nn.ResidualBlock(3, 3, batch_norm=batch_norm, rngs=rngs)
    return nn.Stack(make, COUNT, rngs=nnx.Rngs(0))


def branch_of(stack) -> nn.ConvBranch:
    return stack.blocks.branch


def unstacked(stack):
    """Return the blocks of `stack` as separate modules."""
    definition, states = nnx.split(stack.blocks)
    pick = lambda number: jax.tree.map(lambda array: array[number], states)
    numbers = range(stack.count)
    return [nnx.merge(definition, pick(number), copy=True) for number in numbers]


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 5, 4, 3)).astype(np.float32)


def assert_close(actual, expected):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)


def stacked(trees):
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *trees)


def test_it_is_its_blocks_in_turn(x):
    stack = make_stack()
    blocks = unstacked(stack)

    def of_stack(stack, x):
        y = stack(x)
        return jnp.sum(jnp.sin(y)), y

    def of_blocks(blocks, x):
        y = x
        for block in blocks:
            y = block(y)
        return jnp.sum(jnp.sin(y)), y

    differentiate = lambda loss: nnx.jit(nnx.grad(loss, argnums=(0, 1), has_aux=True))
    (grads, dx), y = differentiate(of_stack)(stack, x)
    (expected, expected_dx), expected_y = differentiate(of_blocks)(nnx.List(blocks), x)
    assert_close(y, expected_y)
    assert_close(dx, expected_dx)
    by_layer = [expected[number] for number in range(stack.count)]
    assert_close(grads["blocks"], stacked(by_layer))


@pytest.fixture(scope="module")
def trained_statistics():
    """A stack and its blocks, each after one call in training mode."""
    x = np.random.default_rng(3).normal(size=(2, 5, 4, 3)).astype(np.float32)
    stack = make_stack()
    blocks = unstacked(stack)
    nnx.jit(lambda stack, x: stack(x))(stack, x)
    y = x
    for block in blocks:
        y = nnx.jit(lambda block, y: block(y))(block, y)
    return stack, blocks


def test_running_statistics_are_updated_by_layer(trained_statistics):
    stack, blocks = trained_statistics
    statistics = nnx.state(stack.blocks, nnx.BatchStat)
    assert_close(statistics, stacked([nnx.state(b, nnx.BatchStat) for b in blocks]))
    mean = branch_of(stack).first_norm.mean[...]
    assert mean.shape == (COUNT, 3)
    assert len(np.unique(np.asarray(mean))) == mean.size


def test_evaluation_reads_the_running_statistics_of_each_layer(trained_statistics, x):
    stack, blocks = trained_statistics
    stack.eval()
    y = x
    for block in blocks:
        block.eval()
        y = block(y)
    actual = stack(x)
    stack.train()
    np.testing.assert_allclose(actual, y, rtol=1e-4, atol=1e-5)


def test_every_layer_draws_its_own_weights_and_the_seed_decides():
    kernel = branch_of(make_stack()).first.kernel[...]
    again = branch_of(make_stack()).first.kernel[...]
    np.testing.assert_array_equal(kernel, again)
    assert len(np.unique(np.asarray(kernel))) == kernel.size


def test_dropout_inside_draws_anew_in_every_layer_and_call():
    stack = nn.Stack(DropoutBlock, COUNT, rngs=nnx.Rngs(0))
    x = jnp.ones((2, 5, 4, 3))
    first, second = stack(x), stack(x)
    assert not np.array_equal(first, second)
    # A layer multiplies by 1 or 3; one mask for all layers would give 1 and 27 only.
    assert set(np.unique(np.asarray(first))) == {1.0, 3.0, 9.0, 27.0}
    stack.eval()
    np.testing.assert_array_equal(stack(x), 2.0**COUNT * x)
    stack.train()
    assert not np.array_equal(stack(x), second)


def test_block_arguments_reach_every_block(x):
    stack = make_stack(batch_norm=False)
    loss = lambda x, stack, scale: jnp.sum(stack(x, scale))
    differentiate = nnx.jit(nnx.grad(loss))
    gradient = lambda scale: differentiate(x, stack, jnp.float32(scale))
    # With no gradient through the branches only the ReLUs remain: zero or one.
    assert set(np.unique(np.asarray(gradient(0.0)))) <= {0.0, 1.0}
    assert not set(np.unique(np.asarray(gradient(1.0)))) <= {0.0, 1.0}


def test_one_block_is_a_stack_too(x):
    make = lambda rngs: nn.PlainBlock(3, 3, batch_norm=False, rngs=rngs)
    stack = nn.Stack(make, 1, rngs=nnx.Rngs(0))
    definition, states = nnx.split(stack.blocks)
    block = nnx.merge(definition, jax.tree.map(lambda array: array[0], states))
    np.testing.assert_allclose(stack(x), block(x), rtol=1e-5, atol=1e-6)


def test_a_loop_and_an_unrolled_stack_agree(x, monkeypatch):
    def run():
        stack = make_stack()
        loss = nnx.value_and_grad(lambda stack, x: jnp.sum(jnp.sin(stack(x))))
        return nnx.jit(loss)(stack, x), nnx.state(stack.blocks, nnx.BatchStat)

    unrolled = run()
    monkeypatch.setattr(stack_module, "_BLOCKS_IN_A_STEP", 1)
    assert_close(run(), unrolled)


@pytest.mark.parametrize(("count", "blocks"), [(1, 1), (7, 1), (18, 3), (20, 5)])
def test_a_step_has_as_many_blocks_as_divide_the_stack(count, blocks):
    stack = nn.Stack(lambda rngs: nnx.Linear(2, 2, rngs=rngs), count, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 2))
    (scan,) = [e for e in jax.make_jaxpr(stack)(x).eqns if e.primitive.name == "scan"]
    assert scan.params["unroll"] == blocks
    merged = x
    for linear in unstacked(stack):
        merged = linear(merged)
    np.testing.assert_allclose(stack(x), merged, rtol=1e-5, atol=1e-6)


def test_a_stack_without_statistics_may_be_closed_over(x):
    stack = make_stack(batch_norm=False)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(stack(x))))(x)
    assert gradient.shape == x.shape


def test_a_skipped_block_passes_its_input_on(x):
    stack = make_stack(batch_norm=False)
    blocks = unstacked(stack)
    loss = lambda skipped: jnp.sum(jnp.sin(stack(x, skipped=skipped)))

    def without(number):
        y = x
        for other, block in enumerate(blocks):
            y = y if other == number else block(y)
        return jnp.sum(jnp.sin(y))

    expected = [without(number) - without(None) for number in range(stack.count)]
    for batch_size in (None, 2):
        profile = lesion_profile(loss, COUNT, batch_size=batch_size)
        np.testing.assert_allclose(profile, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"`skipped` has shape .* each of the 3"):
        stack(x, skipped=jnp.zeros(2, bool))
    with pytest.raises(ValueError, match=r"`loss` returned shape \(3,\); wanted one"):
        lesion_profile(lambda skipped: skipped * 1.0, COUNT)


def test_contributions_compare_the_branch_with_the_shortcut(x):
    stack = make_stack(batch_norm=False)
    y, expected = x, []
    for block in unstacked(stack):
        branch = np.asarray(block.branch(y))
        expected.append(np.linalg.norm(branch) / np.linalg.norm(y))
        y = np.maximum(y + branch, 0.0)
    np.testing.assert_allclose(stack.contributions(x), expected, rtol=1e-4)
    plain = nn.Stack(lambda rngs: nn.PlainBlock(3, 3, rngs=rngs), 2, rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match="has no shortcut"):
        plain.contributions(x)


def test_at_least_one_block():
    with pytest.raises(ValueError, match="`count` is 0; wanted 1 or more"):
        nn.Stack(lambda rngs: nn.PlainBlock(3, 3, rngs=rngs), 0, rngs=nnx.Rngs(0))
