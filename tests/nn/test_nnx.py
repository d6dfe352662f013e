"""The modules are ordinary Flax NNX modules: split, jit, differentiate, optimise."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets import nn


class Network(nnx.Module):
    """Each kind of layer, BatchNorm inside a stack, and dropout."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv = nn.Conv(2, 3, (3, 3), rngs=rngs)
        make = lambda rngs: nn.ResidualBlock(3, 3, rngs=rngs)
        self.stack = nn.Stack(make, 2, rngs=rngs)
        self.pool = nn.MaxPool(2)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.recurrent = nn.GRU(6, 4, rngs=rngs)

    def __call__(self, x):
        x = self.dropout(self.pool(self.stack(self.conv(x))))
        h, _ = self.recurrent(x.reshape(*x.shape[:2], -1))
        return h


@pytest.fixture(scope="module")
def parts():
    return nnx.split(Network(nnx.Rngs(0)))


@pytest.fixture
def model(parts):
    return nnx.merge(*parts, copy=True)


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 6, 4, 2)).astype(np.float32)


def loss(model, x):
    return jnp.mean(model(x) ** 2)


def test_split_and_merge_give_the_same_network(model, x):
    model.eval()
    definition, params, rest = nnx.split(model, nnx.Param, ...)
    merged = nnx.merge(definition, params, rest)
    np.testing.assert_array_equal(merged(x), model(x))
    assert hash(definition) == hash(nnx.split(merged)[0])


def test_the_definition_may_be_static_in_jax_jit(model, x):
    model.eval()
    definition, state = nnx.split(model)
    run = jax.jit(
        lambda definition, state, x: nnx.merge(definition, state)(x), static_argnums=0
    )
    np.testing.assert_allclose(
        run(definition, state, x), model(x), rtol=1e-4, atol=1e-5
    )


def test_a_class_has_the_signature_of_its_constructor():
    class Wide(nn.Conv):
        def __init__(self, rngs: nnx.Rngs):
            super().__init__(2, 64, (3, 3), rngs=rngs)

    assert list(inspect.signature(Wide).parameters) == ["rngs"]
    arguments = inspect.signature(nn.Conv).parameters
    assert list(arguments)[:3] == ["in_features", "out_features", "kernel_size"]
    assert arguments["use_bias"].annotation is bool
    assert list(inspect.signature(Wide(nnx.Rngs(0))).parameters) == ["x"]


def test_flax_tabulates_the_layers(x):
    # It takes every public function of a class for a method.
    table = nnx.tabulate(
        nnx.Sequential(nn.Conv(2, 3, (3, 3), rngs=nnx.Rngs(0)), nn.MaxPool(2)), x
    )
    assert "Conv" in table
    assert "MaxPool" in table


def test_a_step_of_the_flax_optimizer(model, x):
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    before = jax.tree.map(np.asarray, nnx.state(model, nnx.Param))
    statistics = jax.tree.map(np.asarray, nnx.state(model, nnx.BatchStat))

    @nnx.jit
    def step(model, optimizer, x):
        value, grads = nnx.value_and_grad(loss)(model, x)
        optimizer.update(model, grads)
        return value, grads

    value, grads = step(model, optimizer, x)
    assert np.isfinite(value)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, before, grads)
    for actual, wanted in zip(
        jax.tree.leaves(nnx.state(model, nnx.Param)),
        jax.tree.leaves(expected),
        strict=True,
    ):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)
    after = nnx.state(model, nnx.BatchStat)
    for old, new in zip(
        jax.tree.leaves(statistics), jax.tree.leaves(after), strict=True
    ):
        assert not np.array_equal(old, new)
    assert all(np.any(g != 0) for g in jax.tree.leaves(grads))


def test_eval_and_train_switch_batch_norm_and_dropout(model, x):
    call = nnx.jit(lambda model, x: model(x))
    assert not np.array_equal(call(model, x), call(model, x))
    model.eval()
    statistics = jax.tree.map(np.asarray, nnx.state(model, nnx.BatchStat))
    first = call(model, x)
    np.testing.assert_array_equal(call(model, x), first)
    np.testing.assert_allclose(call(model, x[:1]), first[:1], rtol=1e-4, atol=1e-6)
    after = nnx.state(model, nnx.BatchStat)
    jax.tree.map(np.testing.assert_array_equal, statistics, after)
    model.train()
    assert not np.array_equal(call(model, x), first)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda r: nn.ResidualBlock(3, 3, batch_norm=False, rngs=r), (4, 5, 5, 3)),
        (lambda r: nn.LSTM(3, 3, rngs=r), (4, 5, 3)),
    ],
    ids=["ResidualBlock", "LSTM"],
)
def test_gradients_inside_shard_map_are_summed_over_the_devices(make, shape):
    definition, state = nnx.split(make(nnx.Rngs(0)))
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    replicated, sharded = (
        jax.sharding.PartitionSpec(),
        jax.sharding.PartitionSpec("data"),
    )

    def loss(state, x):
        y = nnx.merge(definition, state)(x)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(y))

    gradient = jax.shard_map(
        jax.grad(loss), mesh=mesh, in_specs=(replicated, sharded), out_specs=replicated
    )
    for actual, expected in zip(
        jax.tree.leaves(jax.jit(gradient)(state, x)),
        jax.tree.leaves(jax.jit(jax.grad(loss))(state, x)),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
