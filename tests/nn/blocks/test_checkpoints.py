"""Every `checkpoint` of `nn.Stack` has the same gradients, and stores what it says."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn
from jaxnets.gradflow import measure
from jaxnets.nn.blocks.binomial import schedule
from jaxnets.nn.blocks.stack import parse_checkpoint
from tests.nn.blocks.test_stack import unstacked


COUNT = 30
SHAPE = (2, 8, 8, 4)
STATE = 8 * math.prod(SHAPE)
CHOICES = {
    "sqrt": "sqrt",
    "rest": 7,
    "binomial": ("binomial", 4),
    "inverse": "inverse",
}


@functools.cache
def program(checkpoint):
    """The gradients, the statistics and the output of a stack, and its memory."""
    make = lambda rngs: nn.ReversibleBlock(4, layers=1, rngs=rngs)
    stack = nn.Stack(make, COUNT, checkpoint=checkpoint, rngs=nnx.Rngs(0))
    definition, params, rest = nnx.split(stack, nnx.Param, ...)

    def loss(params, rest, x):
        stack = nnx.merge(definition, params, rest, copy=True)
        y = stack(x)
        return jnp.sum(jnp.sin(y)), (y, nnx.state(stack, nnx.BatchStat))

    with jax.enable_x64(True):
        x = np.random.default_rng(4).normal(size=SHAPE)
        states = jax.tree.map(lambda a: a.astype(np.float64), (params, rest))
        gradient = jax.grad(loss, argnums=(0, 2), has_aux=True)
        compiled = jax.jit(gradient).lower(*states, x).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return compiled(*states, x), analysis.temp_size_in_bytes


@pytest.mark.parametrize("checkpoint", CHOICES.values(), ids=CHOICES)
def test_the_gradients_are_those_without_checkpoints(checkpoint):
    expected, _ = program(None)
    actual, _ = program(checkpoint)
    for a, e in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-11)


def test_it_stores_as_many_states_as_it_says():
    stored = {name: program(choice)[1] / STATE for name, choice in CHOICES.items()}
    everything = program(None)[1] / STATE
    # Besides the states there are the residuals of a block, or of a whole segment.
    assert everything > 2 * COUNT
    assert stored["sqrt"] < everything / 2
    assert stored["binomial"] < 4 + 1 + 10
    assert stored["inverse"] < stored["binomial"]


@pytest.mark.parametrize(("count", "segment"), [(1000, 25), (30, 5), (11, 3), (1, 1)])
def test_sqrt_prefers_equal_segments(count, segment):
    assert parse_checkpoint("sqrt", count) == segment


def advances(count, slots):
    """The least number of blocks to apply before all are reversed, by all choices."""

    @functools.cache
    def least(count, slots):
        if count == 1:
            return 0
        if slots == 1:
            return count * (count - 1) // 2
        first = range(1, count)
        return min(m + least(count - m, slots - 1) + least(m, slots) for m in first)

    return least(count, slots)


@pytest.mark.parametrize("count", [1, 2, 5, 13, 40])
@pytest.mark.parametrize("slots", [1, 2, 3, 9])
def test_the_schedule_is_the_shortest(count, slots):
    plan = schedule(count, slots)
    # The forward pass stops at its last snapshot in this count.
    assert len(plan.saves) - 1 + plan.starts[-1] == advances(count, slots)


class Noisy(nnx.Module):
    """`dropout(x) (1 + a w)`, with a random stream and an argument."""

    def __init__(self, rngs: nnx.Rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.w = nnx.Param(jnp.float32(0.5))

    def __call__(self, x, a):
        return self.dropout(x) * (1.0 + a * self.w)


def test_random_streams_and_arguments_are_those_of_the_forward_pass():
    x = jnp.ones((3, 50))

    def of(checkpoint):
        stack = nn.Stack(Noisy, 3, checkpoint=checkpoint, rngs=nnx.Rngs(0))
        loss = lambda stack, x, a: jnp.sum(stack(x, a) ** 2)
        gradient = nnx.jit(nnx.value_and_grad(loss, argnums=(0, 1, 2)))
        return gradient(stack, x, jnp.float32(2.0)), nnx.state(stack, nnx.RngCount)

    for actual, expected in zip(
        *map(jax.tree.leaves, (of(("binomial", 2)), of(None))), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


class Shifted(nnx.Module):
    """`x + tanh(a w)`, which can be inverted."""

    def __init__(self, rngs: nnx.Rngs):
        self.w = nnx.Param(jax.random.normal(rngs.params(), ()))

    def __call__(self, x, a):
        return x + jnp.tanh(a * self.w)

    def inverse(self, y, a):
        return y - jnp.tanh(a * self.w)


def test_an_inverse_reads_arguments_that_are_differentiated():
    def of(checkpoint):
        stack = nn.Stack(Shifted, 3, checkpoint=checkpoint, rngs=nnx.Rngs(0))
        loss = lambda x, a: jnp.sum(stack(x, a) ** 2)
        return jax.jit(jax.grad(loss, argnums=(0, 1)))(jnp.ones(3), jnp.float32(0.7))

    for actual, expected in zip(of("inverse"), of(None), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("checkpoint", [None, 2, "inverse"])
def test_in_evaluation_mode_a_stack_with_statistics_may_be_closed_over(checkpoint):
    make = lambda rngs: nn.ReversibleBlock(2, layers=1, rngs=rngs)
    stack = nn.Stack(make, 3, checkpoint=checkpoint, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 3, 3, 2))
    stack(x)
    stack.eval()
    gradient = jax.grad(lambda x: jnp.sum(stack(x) ** 2))(x)
    blocks = unstacked(stack)
    one_by_one = lambda x: functools.reduce(lambda x, block: block(x), blocks, x)
    expected = jax.grad(lambda x: jnp.sum(one_by_one(x) ** 2))(x)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4)


def test_taps_are_measured_by_layer(rng):
    x = rng.normal(size=SHAPE).astype(np.float32)

    def taps_of(checkpoint):
        make = lambda rngs: nn.PlainBlock(4, 4, batch_norm=False, rngs=rngs)
        stack = nn.Stack(make, 5, checkpoint=checkpoint, rngs=nnx.Rngs(0))
        return measure(lambda x: jnp.sum(jnp.sin(stack(x))), x).taps

    expected, actual = taps_of(None), taps_of(("binomial", 2))
    assert list(actual) == list(expected) == ["block"]
    np.testing.assert_allclose(actual["block"].norm, expected["block"].norm, rtol=1e-4)


def test_forward_mode_is_refused_by_name():
    stack = nn.Stack(Noisy, 5, checkpoint=("binomial", 2), rngs=nnx.Rngs(0))
    stack.eval()
    x = jnp.ones((3, 4))
    with pytest.raises(TypeError, match="no forward mode with this `checkpoint`"):
        jax.jvp(lambda x: stack(x, 1.0), (x,), (x,))


@pytest.mark.parametrize(
    ("checkpoint", "error", "message"),
    [
        ("cubic", ValueError, "`checkpoint` is 'cubic'; wanted None, \"sqrt\""),
        (0, ValueError, "`checkpoint` is 0; wanted 1 or more"),
        (("binomial", 0), ValueError, "`snapshots` is 0; wanted 1 or more"),
        (("sqrt", 3), TypeError, '`checkpoint` is .*; wanted None, "sqrt"'),
        ("inverse", TypeError, "a `Noisy`, which has no method `inverse`"),
    ],
)
def test_wrong_checkpoints_are_named(checkpoint, error, message):
    with pytest.raises(error, match=message):
        nn.Stack(Noisy, 5, checkpoint=checkpoint, rngs=nnx.Rngs(0))


def test_an_odd_number_of_channels_has_no_halves():
    with pytest.raises(ValueError, match="`features` is 5; wanted an even number"):
        nn.ReversibleBlock(5, rngs=nnx.Rngs(0))
