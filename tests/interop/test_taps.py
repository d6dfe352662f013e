"""Models of Linen, Haiku and Equinox, measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxnets.gradflow import diagnose, measure, tap
from jaxnets.interop import haiku_taps, linen_taps


X = jnp.linspace(-1, 1, 2 * 5 * 3).reshape(2, 5, 3)


class Reader(linen.Module):
    """A recurrent encoder with a method that is not `__call__`, and a readout."""

    def setup(self):
        self.rnn = linen.RNN(linen.LSTMCell(4))
        self.first = linen.remat(linen.Dense)(4)
        self.last = linen.Dense(2)

    def encode(self, x):
        ys: Any = self.rnn(x)
        return jnp.tanh(self.first(ys[:, -1]))

    def __call__(self, x):
        return self.last(self.encode(x))


def test_linen_modules_are_tapped():
    model: Any = Reader()
    params = model.init(jax.random.key(0), X)

    def loss(params):
        return jnp.mean(model.apply(params, X) ** 2)

    def tapped(params):
        with linen_taps():
            return loss(params)

    flow = measure(tapped, params)
    value, grads = jax.value_and_grad(loss)(params)
    np.testing.assert_allclose(flow.value, value, rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), flow.grads, grads
    )
    for state in ("rnn/cell/h", "rnn/cell/c"):
        assert flow.taps[state].norm.shape == (5,)
    assert {"rnn", "first", "last", "__call__"} <= set(flow.taps)
    # dL/dy of the mean of squares is 2 y / N.
    y = model.apply(params, X)
    expected = np.linalg.norm(2 * y / y.size)
    np.testing.assert_allclose(flow.taps["__call__"].norm, expected, rtol=1e-5)
    assert not measure(loss, params).taps
    np.testing.assert_allclose(jax.jit(tapped)(params), value, rtol=1e-6)


def test_a_linen_module_is_diagnosed_through_its_bridge():
    class Deep(linen.Module):
        @linen.compact
        def __call__(self, x):
            for _ in range(8):
                x = linen.sigmoid(linen.Dense(8)(x))
            return x

    x = jax.random.normal(jax.random.key(0), (4, 8))

    def make(rngs):
        return nnx.bridge.lazy_init(nnx.bridge.ToNNX(Deep(), rngs=rngs), x)

    def loss(model, x):
        with linen_taps():
            return jnp.mean(model(x) ** 2)

    found = diagnose(loss, make, x, seeds=1).verdicts[0]
    assert found.kind == "vanishing" and "Dense_0" in found.where
    with pytest.raises(TypeError, match="a module of Linen; wanted an"):
        diagnose(loss, Deep(), x)


def test_haiku_modules_are_tapped():
    import haiku

    def network(x):
        h, _ = haiku.dynamic_unroll(
            haiku.GRU(4), jnp.swapaxes(x, 0, 1), haiku.GRU(4).initial_state(2)
        )
        return haiku.nets.MLP([4, 2], name="head")(h[-1])

    model = haiku.without_apply_rng(haiku.transform(network))
    params = model.init(jax.random.key(0), X)

    def loss(params):
        with haiku_taps():
            return jnp.mean(model.apply(params, X) ** 2)

    flow = measure(loss, params)
    assert flow.taps["gru"].norm.shape == (5,)
    assert {"head/~/linear_0", "head/~/linear_1", "head"} <= set(flow.taps)
    y = model.apply(params, X)
    expected = np.linalg.norm(2 * y / y.size)
    np.testing.assert_allclose(flow.taps["head"].norm, expected, rtol=1e-5)


def test_equinox_modules_are_tapped_by_hand():
    """The example of the README: `tap` in `__call__`."""
    import equinox

    class Network(equinox.Module):
        layers: list

        def __init__(self, key):
            keys = jax.random.split(key, 3)
            self.layers = [equinox.nn.Linear(3, 3, key=key) for key in keys]

        def __call__(self, x):
            for number, layer in enumerate(self.layers):
                x = tap(jnp.tanh(layer(x)), f"layers/{number}")
            return x

    def loss(model, x):
        return jnp.mean(jax.vmap(jax.vmap(model))(x) ** 2)

    flow = measure(loss, Network(jax.random.key(0)), X)
    assert list(flow.taps) == [f"layers/{number}" for number in range(3)]
