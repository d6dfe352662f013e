"""Flax's cells and ours: equal outputs, states and gradients, read and written."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxnets import interop
from jaxnets.functional import gru, lstm, rnn
from jaxnets.interop.flax import FLAX_CELLS


RUN = {"rnn": rnn, "gru": gru, "lstm": lstm}
FEATURES, HIDDEN = 3, 2


def module_of(cell: str, bidirectional: bool) -> Any:
    library, _, name = cell.partition(".")
    if library == "linen":
        new = lambda: linen.RNN(getattr(linen, name)(HIDDEN))
        return linen.Bidirectional(new(), new()) if bidirectional else new()
    rngs = nnx.Rngs(0)
    create: Any = getattr(nnx, name)
    new = lambda: nnx.RNN(create(FEATURES, HIDDEN, rngs=rngs), rngs=rngs)
    return nnx.Bidirectional(new(), new(), rngs=rngs) if bidirectional else new()


def run_flax(cell: str, bidirectional: bool, tree, x) -> Any:
    """Run Flax's module with the weights `tree`; returns `(state, ys)`."""
    module = module_of(cell, bidirectional)
    if isinstance(module, linen.Module):
        return module.apply({"params": tree}, x, return_carry=True)
    nnx.update(module, tree)
    return module(x, return_carry=True)


def drawn_tree(cell: str, bidirectional: bool, rng) -> Any:
    module = module_of(cell, bidirectional)
    if isinstance(module, linen.Module):
        tree = module.init(jax.random.key(0), jnp.ones((1, 1, FEATURES)))["params"]
    else:
        tree = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    draw = lambda w: jnp.asarray(0.6 * rng.standard_normal(w.shape), w.dtype)
    return jax.tree.map(draw, tree)


def run_ours(kind: str, layer, x) -> Any:
    """Run one layer; returns states in Flax's form, `(c, h)` for an LSTM."""
    results = [
        RUN[kind](params, x, reverse=reverse)
        for params, reverse in zip(layer, (False, True), strict=False)
    ]
    states = [(state.c, state.h) if kind == "lstm" else state for state, _ in results]
    ys = jnp.concatenate([ys for _, ys in results], axis=-1)
    return (tuple(states) if len(results) == 2 else states[0]), ys


def weighted_sum(array):
    weights = jnp.cos(jnp.arange(array.size, dtype=array.dtype))
    return jnp.vdot(array, weights.reshape(array.shape))


@pytest.mark.parametrize(
    ("cell", "bidirectional"),
    [(cell, False) for cell in FLAX_CELLS]
    + [("nnx.OptimizedLSTMCell", True), ("linen.GRUCell", True)],
)
def test_outputs_states_and_gradients_equal_those_of_flax(cell, bidirectional, rng):
    tree = drawn_tree(cell, bidirectional, rng)
    theirs = functools.partial(run_flax, cell, bidirectional)
    x = jnp.asarray(rng.standard_normal((2, 5, FEATURES)), jnp.float32)
    kind = FLAX_CELLS[cell].kind

    def differentiate(run):
        def loss(tree, x):
            results = run(tree, x)
            return sum(map(weighted_sum, jax.tree.leaves(results))), results

        return jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(tree, x)

    with jax.numpy_rank_promotion("allow"):
        expected = differentiate(theirs)
    read = lambda tree: interop.from_flax([tree], cell)[0]
    actual = differentiate(lambda tree, x: run_ours(kind, read(tree), x))
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    jax.tree.map(close, actual, expected)

    [returned] = interop.to_flax([read(tree)], cell)
    assert jax.tree.structure(returned) == jax.tree.structure(tree)
    jax.tree.map(np.testing.assert_array_equal, returned, tree)


def test_a_state_of_nnx_and_the_tree_of_a_cell_can_be_read():
    module = nnx.RNN(nnx.LSTMCell(FEATURES, HIDDEN, rngs=nnx.Rngs(0)))
    state: Any = nnx.state(module, nnx.Param)
    tree = nnx.to_pure_dict(state)
    read = lambda tree: interop.from_flax([tree], "nnx.LSTMCell")
    for other in (read(tree["cell"]), read(state)):
        jax.tree.map(np.testing.assert_array_equal, other, read(tree))
