"""`nn.Recurrent` with the cells of Flax, and with custom steps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn
from jaxnets.gradflow import measure
from tests.nn.recurrent.test_layers import assert_close, disturbed


D, H = 3, 4
CELLS = {
    "simple": nnx.SimpleCell,
    "gru": nnx.GRUCell,
    "lstm": nnx.LSTMCell,
    "optimized": nnx.OptimizedLSTMCell,
}


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 5, D)).astype(np.float32)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_values_and_gradients_against_nnx_rnn(cell, x):
    lengths = np.array([5, 1, 3])
    cell = disturbed(cell(D, H, rngs=nnx.Rngs(0)))
    definition, params = nnx.split(cell)
    real = (np.arange(5)[None] < lengths[:, None])[..., None]

    def flax(params, x):
        run = nnx.RNN(nnx.merge(definition, params), return_carry=True)
        options: Any = {"seq_lengths": lengths, "reverse": True, "keep_order": True}
        state, ys = run(x, **options)
        return state, jnp.where(real, jnp.asarray(ys), 0)

    def ours(params, x):
        run = nn.Recurrent(nnx.merge(definition, params))
        return run(x, lengths=lengths, reverse=True)

    def with_gradients(run):
        def loss(params, x):
            results = run(params, x)
            leaves = jax.tree.leaves(results)
            weights = [np.cos(np.arange(a.size)).reshape(a.shape) for a in leaves]
            return sum(map(jnp.vdot, leaves, weights)), results

        return jax.grad(loss, argnums=(0, 1), has_aux=True)

    both = lambda *arguments: [with_gradients(run)(*arguments) for run in (ours, flax)]
    assert_close(*jax.jit(both)(params, x))


def test_lengths_of_zero_and_resets_give_the_initial_state(x):
    run = nn.Recurrent(disturbed(nnx.GRUCell(D, H, rngs=nnx.Rngs(0))))
    start = np.full((3, H), 0.3, np.float32)
    resets = np.zeros((3, 5), bool)
    resets[:, 3] = True
    h, ys = run(x, start, lengths=np.array([0, 5, 5]), resets=resets)
    np.testing.assert_array_equal(h[0], start[0])
    np.testing.assert_array_equal(ys[0], 0)
    assert_close(ys[1:, 3:], run(x[1:, 3:], start[1:])[1])
    assert_close(run(np.swapaxes(x, 0, 1), start, time_major=True)[0], run(x, start)[0])


def test_a_custom_step(x):
    def step(state, x_t):
        total = state + x_t
        return total, 2 * total

    state, ys = nn.Recurrent(step)(x, np.zeros((3, D), np.float32))
    assert_close((state, ys), (x.sum(1), 2 * np.cumsum(x, 1)))


class Noisy(nnx.Module):
    """A cell that applies dropout to its input and adds it to the state."""

    def __init__(self):
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(1))

    def __call__(self, state, x_t):
        y_t = self.dropout(x_t)
        return state + y_t, y_t


def test_each_step_draws_other_random_numbers():
    run = nn.Recurrent(Noisy())
    x, start = np.ones((2, 6, 50), np.float32), np.zeros((2, 50), np.float32)
    _, first = run(x, start, lengths=np.array([0, 6]))
    _, second = run(x, start)
    steps = np.concatenate([first[1], second[0], second[1]])
    assert {0.0, 2.0} == set(np.unique(steps).tolist())
    assert len(np.unique(steps, axis=0)) == 18
    run.eval()
    # Under jit, the random streams of a module from outside must not change.
    np.testing.assert_array_equal(jax.jit(lambda x: run(x, start)[1])(x), x)


class Maps(nnx.Module):
    """A cell with two feature axes."""

    num_feature_axes = 2

    def initialize_carry(self, input_shape, rngs):
        return jnp.zeros(input_shape)

    def __call__(self, state, x_t):
        state = 0.5 * state + x_t
        return state, state


def test_cells_with_several_feature_axes(rng):
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    run = nn.Recurrent(Maps())
    resets = np.zeros((2, 3), bool)
    resets[1, 1] = True
    state, ys = run(x, lengths=np.array([2, 3]), resets=resets)
    assert_close(state[0], 0.5 * x[0, 0] + x[0, 1])
    assert_close(ys[1, 2], 0.5 * x[1, 1] + x[1, 2])
    np.testing.assert_array_equal(ys[0, 2], 0)
    with pytest.raises(ValueError, match=r"`resets` has shape \(3, 2\); wanted \(2, 3"):
        run(x, resets=resets.T)


@pytest.mark.parametrize(
    "cell, names",
    [(nnx.LSTMCell, {"cell/h", "cell/c"}), (nnx.SimpleCell, {"cell/h"})],
)
def test_taps(cell, names, x):
    definition, params = nnx.split(
        nn.Recurrent(cell(D, H, rngs=nnx.Rngs(0)), name="cell")
    )
    loss = lambda params: jnp.sum(nnx.merge(definition, params)(x)[1] ** 2)
    flow = jax.jit(lambda params: measure(loss, params))(params)
    assert set(flow.taps) == names
    # At the last step, dL/dh_t comes from the output alone.
    ys = nnx.merge(definition, params)(x)[1]
    last = np.linalg.norm(2 * ys[:, -1])
    np.testing.assert_allclose(flow.taps["cell/h"].norm[-1], last, rtol=1e-5)


class Counting(nnx.Module):
    def __init__(self):
        self.count = nnx.Variable(jnp.zeros(()))

    def __call__(self, state, x_t):
        self.count[...] += 1
        return state, x_t


def test_errors(x):
    with pytest.raises(ValueError, match="has no `initialize_carry`"):
        nn.Recurrent(Noisy())(x)
    with pytest.raises(ValueError, match=r"changes its variables \['count"):
        nn.Recurrent(Counting())(x, np.zeros((3, D)))
