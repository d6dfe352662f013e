"""Hyper-connections against their formula in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets import nn, training
from jaxnets.data import Labelled, digits
from tests.nn import by_hand


N, C = 3, 2


def rms(x):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + 1e-6)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def maps_by_hand(block, x):
    """Return q, p and R at one position of `x (n, C)`."""
    kernel, a, b_q, b_p, b_r = (
        np.asarray(p[...], np.float64)
        for p in (
            block.kernel,
            block.factors,
            block.read_bias,
            block.write_bias,
            block.mixing_bias,
        )
    )
    if not block.constrained:
        dynamic = np.tanh(rms(x) @ kernel)
        # Row i of R reads stream j with the j-th row of x.
        return (
            b_q + a[0] * dynamic[:, 0],
            b_p + a[1] * dynamic[:, 1],
            (b_r + a[2] * dynamic[:, 2:].T),
        )
    dynamic = rms(x.ravel()) @ kernel
    matrix = np.exp(b_r + a[2] * dynamic[2 * N :].reshape(N, N))
    for _ in range(20):
        matrix = matrix / matrix.sum(0)
        matrix = matrix / matrix.sum(1, keepdims=True)
    q = sigmoid(b_q + a[0] * dynamic[:N])
    return q, 2 * sigmoid(b_p + a[1] * dynamic[N : 2 * N]), matrix


@pytest.mark.parametrize("constrained", [True, False])
def test_a_block_is_its_formula(constrained, rng):
    block = nn.HyperBlock(
        C, streams=N, constrained=constrained, layers=1, norm=None, rngs=nnx.Rngs(0)
    )
    draw = lambda p: jnp.asarray(rng.standard_normal(p.shape), jnp.float32)
    nnx.update(block, jax.tree.map(draw, nnx.state(block, nnx.Param)))
    x = rng.standard_normal((2, 3, 4, N, C))
    positions = list(np.ndindex(2, 3, 4))
    maps = {at: maps_by_hand(block, x[at]) for at in positions}
    read = np.zeros((2, 3, 4, C))
    for at, (q, _, _) in maps.items():
        read[at] = q @ x[at]
    conv = block.branch.first
    weights = np.asarray(conv.kernel[...]), np.asarray(conv.bias[...])
    f = by_hand.convolve(by_hand.relu(read), weights, 1)
    expected = np.stack(
        [maps[at][2] @ x[at] + np.outer(maps[at][1], f[at]) for at in positions]
    )
    y = nnx.jit(lambda block, x: block(x))(block, x.astype(np.float32))
    np.testing.assert_allclose(y, expected.reshape(x.shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("constrained", [True, False])
def test_the_gain_is_that_of_the_product(constrained, rng):
    make = lambda rngs: nn.HyperBlock(
        C, streams=N, constrained=constrained, norm=None, rngs=rngs
    )
    stack = nn.Stack(make, 5, rngs=nnx.Rngs(0))
    for name, mean in (("mixing_bias", 1.0), ("kernel", 0.0)):
        shape = getattr(stack.blocks, name).shape
        drawn = mean + rng.standard_normal(shape)
        getattr(stack.blocks, name)[...] = jnp.asarray(drawn, jnp.float32)
    x = rng.standard_normal((1, 2, 2, N, C)).astype(np.float32)
    forward, backward = nn.composite_gain(stack, x)
    if constrained:
        # The last step of the iteration normalises the rows.
        np.testing.assert_allclose(forward, 1.0, rtol=1e-5)
        np.testing.assert_allclose(backward, 1.0, rtol=1e-2)
        return
    definition, states = nnx.split(stack.blocks)
    product = np.eye(N)
    for number in range(5):
        state = jax.tree.map(lambda a, number=number: a[number], states)
        block = nnx.merge(definition, state)
        product = np.asarray(block.mixing(x), np.float64) @ product
        x = block(x)
        sums = [np.abs(product).sum(axis).max() for axis in (-1, -2)]
        np.testing.assert_allclose((forward[number], backward[number]), sums, rtol=1e-4)


class Classifier(nnx.Module):
    """Hyper-connected blocks between a convolution and a linear layer."""

    def __init__(self, constrained, rngs):
        make = lambda rngs: nn.HyperBlock(
            C, constrained=constrained, layers=1, norm=None, rngs=rngs
        )
        self.stem = nn.Conv(1, C, (3, 3), strides=4, rngs=rngs)
        self.stack = nn.Stack(make, 8, rngs=rngs)
        self.output = nnx.Linear(C, 10, rngs=rngs)

    def streams(self, x):
        return jnp.repeat(self.stem(x)[..., None, :], 4, -2)

    def __call__(self, x):
        return self.output(self.stack(self.streams(x)).mean((1, 2, 3)))


@pytest.mark.parametrize("constrained", [True, False])
def test_the_gain_of_a_network_that_learns_digits(constrained):
    """It stays 1 with the constraint, and grows without (Xie et al. 2025)."""
    x, y = digits().train
    x, y = (array[:320].reshape(20, 16, *array.shape[1:]) for array in (x, y))
    optimizer = optax.adam(0.03)
    model = Classifier(constrained, nnx.Rngs(0))
    graphdef, state = training.train_state(model, optimizer)
    step = training.make_step(graphdef, training.classification, optimizer)
    state, report = jax.jit(lambda *s: jax.lax.scan(step, *s))(state, Labelled(x, y))
    assert report.loss[-5:].mean() < report.loss[:5].mean()
    trained = nnx.merge(graphdef, state.params, state.rest)
    forward, backward = nn.composite_gain(trained.stack, trained.streams(x[0]))
    if constrained:
        np.testing.assert_allclose(forward, 1.0, rtol=1e-5)
        np.testing.assert_allclose(backward, 1.0, rtol=1e-2)
    else:
        assert min(forward[-1], backward[-1]) > 1.2


def test_every_block_begins_with_a_stream_of_its_own():
    make = lambda rngs: nn.HyperBlock(C, norm=None, rngs=rngs)
    read = np.asarray(nn.Stack(make, 20, rngs=nnx.Rngs(0)).blocks.read_bias[...])
    np.testing.assert_array_equal(read.sum(-1), 1.0)
    assert (read.sum(0) > 0).all()


def test_wrong_shapes_and_stacks_are_named():
    block = nn.HyperBlock(C, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"`x` has shape .* 4 streams of 2 channels"):
        block(jnp.ones((2, 3, 4, 3, C)))
    stack = nn.Stack(lambda rngs: nn.PlainBlock(C, C, rngs=rngs), 2, rngs=nnx.Rngs(0))
    with pytest.raises(
        TypeError, match="blocks of type `PlainBlock`; wanted a `Stack`"
    ):
        nn.composite_gain(stack, jnp.ones((2, 3, 4, 4, C)))
