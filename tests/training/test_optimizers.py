"""The step passes what Optax's transforms ask for beside the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets.data import Labelled
from jaxnets.training import make_step, regression, train_state
from tests.training.networks import assert_close


X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
BATCH = Labelled(X, X @ np.array([[1.0], [-2.0], [0.5]], np.float32))
PLATEAU = optax.contrib.reduce_on_plateau(factor=0.5, patience=1)
OPTIMIZERS = {
    "sgd": optax.sgd(0.1),
    "chain": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01), PLATEAU),
    "lbfgs": optax.lbfgs(),
    "line search": optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=9)
    ),
    "multi steps": optax.MultiSteps(
        optax.chain(optax.sgd(0.1), PLATEAU), every_k_schedule=2
    ),
    "finite": optax.apply_if_finite(optax.chain(optax.sgd(0.1), PLATEAU), 3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_updates_are_those_of_an_optax_loop(name):
    optimizer = OPTIMIZERS[name]
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    graphdef, state = train_state(model, optimizer)
    step = jax.jit(make_step(graphdef, regression, optimizer))

    def value_fn(params):
        return jnp.mean((X @ params["kernel"] + params["bias"] - BATCH.y) ** 2)

    params = nnx.to_pure_dict(state.params)
    expected = optimizer.init(params)

    @jax.jit
    def reference(params, opt_state):
        value, grad = jax.value_and_grad(value_fn)(params)
        extra = {"value": value, "grad": grad, "value_fn": value_fn}
        if name == "sgd":
            extra = {}
        updates, opt_state = optimizer.update(grad, opt_state, params, **extra)
        return optax.apply_updates(params, updates), opt_state, value

    losses = []
    for _ in range(4):
        state, report = step(state, BATCH)
        params, expected, value = reference(params, expected)
        np.testing.assert_allclose(report.loss, value, rtol=1e-4, atol=1e-6)
        losses.append(float(report.loss))
    assert losses[-1] < losses[0]
    assert_close(nnx.to_pure_dict(state.params), params, 1e-4)


def test_a_plateau_lowers_the_step():
    optimizer = optax.chain(optax.sgd(0.0), PLATEAU)
    graphdef, state = train_state(nnx.Linear(3, 1, rngs=nnx.Rngs(0)), optimizer)
    batches = jax.tree.map(lambda array: jnp.stack([array] * 5), BATCH)
    state, _ = jax.lax.scan(make_step(graphdef, regression, optimizer), state, batches)
    assert float(optax.tree.get(state.opt_state, "scale")) < 1.0
