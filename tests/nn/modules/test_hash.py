"""Every layer can be hashed, so `jax.jit` takes one as a function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import models, nn


RNGS = nnx.Rngs(0)
X = jnp.arange(32.0).reshape(1, 4, 4, 2)
POOLS = [
    nn.AdaptiveAvgPool(2),
    nn.AdaptiveMaxPool(2),
    nn.AvgPool(2),
    nn.Flatten(),
    nn.GlobalAvgPool(),
    nn.GlobalMaxPool(),
    nn.GlobalSumPool(),
    nn.LogSumExpPool(2),
    nn.LpPool(2),
    nn.MaxPool(2),
    nn.MaxPoolWithIndices(2),
    nn.SumPool(2),
]
OTHERS = [
    nn.AdditiveAttention(2, 2, 2, rngs=RNGS),
    nn.BatchNorm(2, rngs=RNGS),
    nn.Block(2, 2, rngs=RNGS),
    nn.CausalConv(2, 2, 2, rngs=RNGS),
    nn.Conv(2, 2, (3,), rngs=RNGS),
    nn.ConvBranch(2, 2, rngs=RNGS),
    nn.ConvLSTM(2, 2, (1,), rngs=RNGS),
    nn.ConvTranspose(2, 2, (3,), rngs=RNGS),
    nn.DepthwiseConv(2, (3,), rngs=RNGS),
    nn.DotProductAttention(2, 2, 2, rngs=RNGS),
    nn.FractionalMaxPool(2, 2, rngs=RNGS),
    nn.GRU(2, 2, rngs=RNGS),
    nn.HyperBlock(2, rngs=RNGS),
    nn.LSTM(2, 2, rngs=RNGS),
    nn.MaxUnpool((4, 4)),
    nn.MinGRU(2, 2, rngs=RNGS),
    nn.MinLSTM(2, 2, rngs=RNGS),
    nn.PlainBlock(2, 2, rngs=RNGS),
    nn.RNN(2, 2, rngs=RNGS),
    nn.Recurrent(lambda h, x: (h, x)),
    nn.ResidualBlock(2, 2, rngs=RNGS),
    nn.ReversibleBlock(2, rngs=RNGS),
    nn.SeparableConv(2, 2, (3,), rngs=RNGS),
    nn.Stack(lambda r: nn.Conv(2, 2, (1,), rngs=r), 2, rngs=RNGS),
]
FUNCTIONS = {"block_options", "composite_gain", "norm"}
named = lambda layer: type(layer).__name__


@pytest.mark.parametrize("layer", POOLS, ids=named)
def test_jit_takes_a_layer_without_parameters(layer):
    jax.tree.map(np.testing.assert_array_equal, jax.jit(layer)(X), layer(X))


def test_every_layer_can_be_hashed():
    layers = [*POOLS, *OTHERS, models.MLP(2, 2, widths=(2,), rngs=RNGS)]
    assert len({hash(layer) for layer in layers}) == len(layers)
    assert {*map(named, layers[:-1])} == {*nn.__all__} - FUNCTIONS
