"""`dtype` computes in 16 bits with the weights, and their gradients, in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn
from tests.cells import EVERY


LAYERS = {family.name: family.layer for family in EVERY}
D, H = 3, 4
MADE = {
    **{
        name: lambda layer=layer, **o: layer(D, H, **o)
        for name, layer in LAYERS.items()
    },
    "both directions": lambda **o: nn.GRU(D, H, num_layers=2, bidirectional=True, **o),
    "everything": lambda **o: nn.LSTM(D, H, peephole=True, projection=2, **o),
    "conv_lstm": lambda **o: nn.ConvLSTM(D, H, (3,), peephole_shape=(1,), **o),
}


@pytest.mark.parametrize("name", MADE)
def test_dtype_is_the_one_of_the_computation(name, rng):
    shape = (2, 4, 5, D) if name == "conv_lstm" else (2, 4, D)
    x = rng.normal(size=shape).astype(np.float32)
    layer = MADE[name](dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    exact = MADE[name](rngs=nnx.Rngs(0))

    def loss(layer):
        state, ys = layer(x)
        return jnp.sum(ys.astype(jnp.float32) ** 2), (state, ys)

    run = nnx.jit(nnx.grad(loss, has_aux=True))
    grads, results = run(layer)
    wanted_grads, wanted = run(exact)
    assert {a.dtype for a in jax.tree.leaves(results)} == {jnp.dtype(jnp.bfloat16)}
    weights = jax.tree.leaves(nnx.state(layer, nnx.Param))
    for leaf in [*weights, *jax.tree.leaves(grads)]:
        assert leaf.dtype == jnp.float32
    close = lambda a, b: np.testing.assert_allclose(
        np.asarray(a, np.float32), b, atol=0.03 * max(1.0, float(np.abs(b).max()))
    )
    jax.tree.map(close, results, wanted)
    jax.tree.map(close, grads, wanted_grads)


@pytest.mark.parametrize("name", MADE)
def test_weights_in_16_bits_are_the_rounded_ones(name):
    layer = MADE[name](param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    exact = MADE[name](rngs=nnx.Rngs(0))
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a, b.astype(jnp.bfloat16)),
        nnx.state(layer, nnx.Param),
        nnx.state(exact, nnx.Param),
    )


def test_a_given_state_is_cast_too():
    layer = nn.LSTM(D, H, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    state, _ = layer(jnp.ones((2, 4, D)))
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), state)
    assert layer(jnp.ones((2, 4, D)), wide)[1].dtype == jnp.bfloat16
