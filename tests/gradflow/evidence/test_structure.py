"""What the traced loss says about a network, in its records."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from tests.gradflow.evidence.collecting import collect
from tests.gradflow.evidence.test_collect import select, values


class Reader(nnx.Module):
    """An encoder that stops the gradient, and a cell in a Python loop over time."""

    def __init__(self, rngs):
        self.encoder = nnx.Linear(2, 3, rngs=rngs)
        self.cell = nnx.SimpleCell(3, 4, rngs=rngs)
        self.head = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        x = jax.lax.stop_gradient(self.encoder(x))
        h = jnp.zeros((x.shape[0], 4))
        for step in range(x.shape[1]):
            h, _ = self.cell(h, x[:, step])
        return self.head(h)


def loss(model, x):
    return jnp.mean(model(x) ** 2)


def test_a_python_loop_is_time_and_blocked_parameters_are_named():
    records, _ = collect(loss, Reader, [jnp.ones((2, 3, 2))], seeds=1)
    norms = select(records, metric="log10_gradient_norm", place="cell")
    assert [record.position for record in norms] == [0, 1, 2]
    assert [r.place for r in select(records, metric="activation")] == ["cell|tanh"]
    blocked = {
        r.place.split("|")[0]: r.place for r in select(records, metric="blocked")
    }
    assert blocked.keys() == {"encoder/bias", "encoder/kernel"}
    _, reason, where = blocked["encoder/kernel"].split("|")
    assert reason == "stop_gradient" and where.startswith("test_structure.py:")


class Stack(nnx.Module):
    """Scanned layers between two others."""

    def __init__(self, rngs):
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0,))
        def layers(rngs):
            return nnx.Linear(2, 2, rngs=rngs)

        self.stem = nnx.Linear(2, 2, rngs=rngs)
        self.layers = layers(rngs)
        self.head = nnx.Linear(2, 1, rngs=rngs)

    def __call__(self, x):
        scan = nnx.scan(
            lambda x, layer: layer(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry
        )
        return self.head(scan(self.stem(x), self.layers))


def test_scanned_layers_are_parts_of_the_chain():
    records, _ = collect(loss, Stack, [jnp.ones((3, 2))], seeds=1)
    chain = select(records, metric="chain", value=0.0)
    names = [f"layers[{layer}]" for layer in range(3)]
    assert [record.place for record in chain] == ["stem", *names, "head"]
    assert [record.position for record in chain] == [0, 1, 2, 3, 4]
    assert values(records, metric="log10_gradient_norm", place="layers[2]")


class Ensemble(nnx.Module):
    """The same layer at every example, by vmap."""

    def __init__(self, rngs):
        self.layer = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x):
        return nnx.vmap(lambda layer, x: layer(x), in_axes=(None, 0))(self.layer, x)


def test_examples_of_a_vmap_are_joined():
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    records, _ = collect(loss, Ensemble, [x], seeds=1)
    alone, _ = collect(
        lambda model, x: jnp.mean(model.layer(x) ** 2), Ensemble, [x], seeds=1
    )
    of = {"metric": "log10_gradient_norm", "place": "layer"}
    assert values(records, **of) == [pytest.approx(values(alone, **of)[0], abs=1e-5)]
