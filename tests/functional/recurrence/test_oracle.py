"""All cells against plain loops in NumPy: values and gradients, with all options."""

import functools

import hypothesis.strategies as st
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import jaxnets
from tests.cells import EVERY, FORMS, GRU, LSTM, RNN
from tests.functional.recurrence.setup import (
    as_float32,
    draw_params,
    draw_state,
    few_examples,
    scans,
)
from tests.oracles import recurrent as oracle


every_cell = pytest.mark.parametrize("family", EVERY, ids=lambda f: f.name)


def assert_close(actual, expected, tolerance=1e-9):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


def compare(family, sizes, draws, cell, **extras):
    """Compare values and the gradients of a weighted sum with those of the loops."""
    batch, time, options, layout, rng = draws
    features, hidden = sizes
    params = draw_params(family, rng, features, hidden, **extras)
    state = draw_state(
        family, rng, (batch,), hidden, projection=extras.get("projection")
    )
    x = rng.standard_normal((batch, time, features))
    arguments = (params, x, state)

    def plainly(params, x, state):
        return oracle.run(family.oracle_step, params, x, state, **options, **cell)

    def ours(params, x, state):
        chosen = dict(options, **layout, **cell)
        if not layout["time_major"]:
            return family.run(params, x, state, **chosen)
        if "resets" in options:
            chosen["resets"] = options["resets"].T
        final, ys = family.run(params, jnp.moveaxis(x, 1, 0), state, **chosen)
        return final, jnp.moveaxis(ys, 0, 1)

    def weighted(run, *arguments):
        leaves = jax.tree.leaves(run(*arguments))
        return sum(
            (leaf * np.cos(k + np.arange(leaf.size)).reshape(leaf.shape)).sum()
            for k, leaf in enumerate(leaves)
        )

    expected = plainly(*arguments)
    gradients, values = jax.jit(
        lambda *a: (
            jax.grad(functools.partial(weighted, ours), (0, 1, 2))(*a),
            ours(*a),
        )
    )(*arguments)
    assert_close(values, expected)
    leaves, tree = jax.tree.flatten(arguments)
    loss = lambda *leaves: weighted(plainly, *jax.tree.unflatten(tree, leaves))
    # One random direction for each array checks all of its elements.
    for k, leaf in enumerate(jax.tree.leaves(gradients)):
        directions = [np.zeros_like(a) for a in leaves]
        directions[k] = rng.standard_normal(leaves[k].shape)
        slope = oracle.slope(loss, leaves, directions)
        np.testing.assert_allclose(np.vdot(leaf, directions[k]), slope, atol=1e-7)


@pytest.mark.parametrize(("family", "variant"), FORMS)
@few_examples
@given(data=st.data())
def test_cells_against_plain_loops(family, variant, data):
    draws = data.draw(scans(family.implementations))
    with jax.enable_x64(True):
        compare(family, (2, 3), draws, dict(variant.options), **variant.params)


@every_cell
def test_each_element_of_the_gradient(family, rng):
    arguments = (draw_params(family, rng), rng.standard_normal((2, 4, 3)))
    state = draw_state(family, rng, (2,))
    lengths, weights = np.array([4, 2]), rng.standard_normal((2, 4, 2))
    leaves, tree = jax.tree.flatten((*arguments, state))

    def loss(run, *leaves):
        params, x, state = jax.tree.unflatten(tree, leaves)
        return (run(params, x, state)[1] * weights).sum()

    loops = lambda *a: oracle.run(family.oracle_step, *a, lengths=lengths, reverse=True)
    ours = lambda *a: family.run(*a, lengths=lengths, reverse=True)
    expected = oracle.gradient(functools.partial(loss, loops), leaves)
    with jax.enable_x64(True):
        every = tuple(range(len(leaves)))
        actual = jax.jit(jax.grad(functools.partial(loss, ours), every))(*leaves)
    assert_close(actual, expected, 1e-7)


def for_accelerators(*arguments, default, **_):
    return default(*arguments)


@pytest.mark.parametrize(
    ("family", "implementation"),
    [(RNN, "split"), (GRU, "scan"), (GRU, "split"), (LSTM, "scan")],
    ids=lambda value: getattr(value, "name", value),
)
def test_one_product_for_all_steps_gives_the_same(
    family, implementation, rng, monkeypatch
):
    params = draw_params(family, rng)
    x = rng.standard_normal((2, 5, 3))

    def loss(params, x):
        how = {"checkpoint": 2, "implementation": implementation}
        state, ys = family.run(params, x, lengths=np.array([5, 3]), **how)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves((state, ys)))

    def compile_and_run():
        return jax.jit(lambda *a: jax.value_and_grad(loss, (0, 1))(*a))(params, x)

    with jax.enable_x64(True):
        stepwise = compile_and_run()
        monkeypatch.setattr(jax.lax, "platform_dependent", for_accelerators)
        assert_close(compile_and_run(), stepwise)


@every_cell
def test_steps_in_turn_give_the_same_as_a_run(family, rng):
    params, x = draw_params(family, rng), rng.standard_normal((2, 4, 3))
    state = draw_state(family, rng, (2,))
    with jax.enable_x64(True):
        final, ys = family.run(params, x, state)
        for t in range(4):
            state, y_t = family.step(params, state, x[:, t])
            assert_close(y_t, ys[:, t])
        assert_close(state, final)
        expected = oracle.run(family.oracle_step, params, x, draw_zeros(final))
        assert_close(family.run(params, x), expected)


def draw_zeros(state):
    zeros = [np.zeros(leaf.shape) for leaf in jax.tree.leaves(state)]
    return tuple(zeros) if len(zeros) > 1 else zeros[0]


@every_cell
def test_a_symbolic_number_of_steps(family, rng):
    params, state = draw_params(family, rng), draw_state(family, rng, (2,))
    params, state = as_float32((params, state))
    time, *_ = jax.export.symbolic_shape("t")
    shape = jax.ShapeDtypeStruct((2, time, 3), np.float32)
    others = jaxnets.plan(family.run, params, shape).others
    unsupported = "does not support a symbolic number of steps"
    assert unsupported in (others.get("in_place"), others.get("associative"))
    gradient = lambda x: jax.grad(
        lambda x: jnp.sum(jnp.sin(family.run(params, x, state)[1]))
    )(x)
    exported = jax.export.export(jax.jit(gradient))(shape)
    x = as_float32(rng.standard_normal((2, 5, 3)))
    assert_close(exported.call(x), gradient(x), 1e-5)
