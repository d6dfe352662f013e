"""Taps of the modules: names, shapes, and norms equal to explicit gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.gradflow import measure


T, H = 5, 4


def measured(model, x, loss):
    """Measure `loss(model(x))` over the parameters of `model`."""
    definition, params, rest = nnx.split(model, nnx.Param, ...)

    def objective(params, rest, x):
        return loss(nnx.merge(definition, params, rest, copy=True)(x))

    return jax.jit(lambda *arguments: measure(objective, *arguments))(params, rest, x)


def norms(gradients):
    """The norm of each row along the first axis."""
    rows = np.asarray(gradients, np.float64)
    return np.sqrt((rows.reshape(len(rows), -1) ** 2).sum(1))


@pytest.fixture
def sequences(rng):
    return rng.normal(size=(2, T, 3)).astype(np.float32)


def test_an_lstm_reports_the_gradient_of_every_state(sequences):
    layer = nn.LSTM(3, H, name="memory", rngs=nnx.Rngs(0))
    weight = np.cos(np.arange(2 * T * H)).reshape(2, T, H)
    flow = measured(layer, sequences, lambda result: jnp.sum(result[1] * weight))
    assert set(flow.taps) == {f"memory/{gate}" for gate in "hcifgo"}
    assert {stats.norm.shape for stats in flow.taps.values()} == {(T,)}

    def with_added(added_h, added_c):
        """The loss, with zeros added to each new state of an unrolled loop."""
        state = F.LSTMState(jnp.zeros((2, H)), jnp.zeros((2, H)))
        total = 0.0
        for t in range(T):
            # Recompute h_t, so that what is added to c_t reaches it too.
            before = state
            state, _ = F.lstm_step(layer.params, before, sequences[:, t])
            gate = state.h / jnp.tanh(state.c)
            c = state.c + added_c[t]
            state = F.LSTMState(gate * jnp.tanh(c) + added_h[t], c)
            total += jnp.sum(state.h * weight[:, t])
        return total

    zeros = jnp.zeros((T, 2, H))
    dh, dc = jax.jit(jax.grad(with_added, argnums=(0, 1)))(zeros, zeros)
    np.testing.assert_allclose(flow.taps["memory/h"].norm, norms(dh), rtol=1e-5)
    np.testing.assert_allclose(flow.taps["memory/c"].norm, norms(dc), rtol=1e-5)
    np.testing.assert_allclose(
        flow.taps["memory/h"].max_abs, np.abs(dh).max((1, 2)), rtol=1e-5
    )


@pytest.mark.parametrize(
    "module, names", [(nn.RNN, ["h"]), (nn.GRU, ["h", "r", "z", "n"])]
)
def test_the_names_of_the_other_recurrent_taps(module, names, sequences):
    layer = module(3, H, rngs=nnx.Rngs(0))
    shapes = jax.eval_shape(
        lambda x: measured(layer, x, lambda result: jnp.sum(result[1])).taps, sequences
    )
    prefix = module.__name__.lower()
    assert set(shapes) == {f"{prefix}/{name}" for name in names}
    assert {stats.norm.shape for stats in shapes.values()} == {(T,)}


def test_two_layers_keep_their_taps_apart(sequences):
    class Two(nnx.Module):
        def __init__(self, rngs):
            self.first = nn.RNN(3, H, name="first", rngs=rngs)
            self.second = nn.RNN(H, H, name="second", rngs=rngs)

        def __call__(self, x):
            return self.second(self.first(x)[1])[1]

    shapes = jax.eval_shape(
        lambda x: measured(Two(nnx.Rngs(0)), x, jnp.sum).taps, sequences
    )
    assert set(shapes) == {"first/h", "second/h"}


@pytest.mark.parametrize(
    "widths, batch_norm", [((3,), True), ((3, 5), False)], ids=["bn", "no-bn"]
)
def test_a_residual_network_reports_the_gradient_of_every_block(
    widths, batch_norm, rng
):
    depth = 2 * 2 * len(widths) + 2
    options = {"widths": widths, "batch_norm": batch_norm}
    model = models.ResNet(depth, 2, 3, **options, rngs=nnx.Rngs(0))
    x = rng.normal(size=(2, 6, 6, 2)).astype(np.float32)
    weight = np.array([[1.0, -2.0, 0.5], [0.3, 1.0, -1.0]])
    loss = lambda logits: jnp.sum(logits * weight)
    flow = measured(model, x, loss)
    shapes = {name: stats.norm.shape for name, stats in flow.taps.items()}
    stage1 = {"stem": (), "stage1/block": (2,)}
    stage2 = {"stage2/block": (), "stage2/block#2": (1,)}
    assert shapes == stage1 | (stage2 if len(widths) == 2 else {})
    parts = nnx.split(model)

    def with_added(added):
        """The loss, with zeros added to the output of each block in turn."""
        copy = nnx.merge(*parts, copy=True)
        h = jax.nn.relu(copy.stem_norm(copy.stem(x))) + added["stem"][0]
        h = in_turn(copy.stages[0][0], h, added["stage1/block"])
        if len(widths) == 2:
            entry, second = copy.stages[1]
            h = entry(h) + added["stage2/block"][0]
            h = in_turn(second, h, added["stage2/block#2"])
        return loss(copy.output(copy.pool(h)))

    zeros = {}
    for name, shape in shapes.items():
        maps = (2, 3, 3, 5) if name.startswith("stage2") else (2, 6, 6, 3)
        zeros[name] = jnp.zeros(((*shape, 1)[0], *maps))
    gradients = jax.jit(jax.grad(with_added))(zeros)
    for name, gradient in gradients.items():
        expected = norms(gradient).reshape(shapes[name])
        np.testing.assert_allclose(flow.taps[name].norm, expected, rtol=1e-5)


def in_turn(stack, h, added):
    """Apply the blocks of `stack` one by one, adding a row of `added` after each."""
    definition, states = nnx.split(stack.blocks)
    for number, row in enumerate(added):
        state = jax.tree.map(lambda array, n=number: array[n], states)
        h = nnx.merge(definition, state)(h) + row
    return h
