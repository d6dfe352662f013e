"""Parameters keep the sharding of `nnx.with_partitioning`, and their values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from flax.nnx import initializers
from jax.sharding import PartitionSpec

from jaxnets import models, nn


INITS = {
    "kernel_init": initializers.lecun_normal(),
    "bias_init": initializers.zeros_init(),
    "scale_init": initializers.ones_init(),
    "depthwise_init": initializers.lecun_normal(),
    "pointwise_init": initializers.he_normal(),
    "input_init": initializers.lecun_normal(),
    "recurrent_init": initializers.orthogonal(),
}
# The constructor, and the sharding of each initialiser and the parameters it draws.
LAYERS = {
    "Conv": (
        lambda **o: nn.Conv(2, 4, (3,), rngs=nnx.Rngs(0), **o),
        {"kernel_init": (None, None, "d"), "bias_init": ("d",)},
        {"kernel": "kernel_init", "bias": "bias_init"},
    ),
    "DepthwiseConv": (
        lambda **o: nn.DepthwiseConv(2, (3,), multiplier=2, rngs=nnx.Rngs(0), **o),
        {"kernel_init": (None, "d", None)},
        {"kernel": "kernel_init"},
    ),
    "SeparableConv": (
        lambda **o: nn.SeparableConv(2, 4, (3,), rngs=nnx.Rngs(0), **o),
        {"depthwise_init": (None, "d", None), "pointwise_init": (None, None, "d")},
        {"depthwise_kernel": "depthwise_init", "pointwise_kernel": "pointwise_init"},
    ),
    "BatchNorm": (
        lambda **o: nn.BatchNorm(4, rngs=nnx.Rngs(0), **o),
        {"scale_init": ("d",), "bias_init": ("d",)},
        {"scale": "scale_init", "bias": "bias_init"},
    ),
    **{
        layer.__name__: (
            lambda layer=layer, **o: layer(3, 4, rngs=nnx.Rngs(0), **o),
            {"input_init": (None, "d"), "recurrent_init": ("d", None)},
            {"w_xh": "input_init", "w_hh": "recurrent_init"},
        )
        for layer in (nn.RNN, nn.GRU, nn.LSTM)
    },
    "MinGRU": (
        lambda **o: nn.MinGRU(3, 4, rngs=nnx.Rngs(0), **o),
        {"input_init": (None, "d")},
        {"w_xh": "input_init"},
    ),
    "ConvLSTM": (
        lambda **o: nn.ConvLSTM(3, 4, (3,), rngs=nnx.Rngs(0), **o),
        {"input_init": (None, None, "d"), "recurrent_init": (None, None, "d")},
        {"w_xh": "input_init", "w_hh": "recurrent_init"},
    ),
    "CharacterModel": (
        lambda **o: models.CharacterModel(nn.LSTM, 3, 4, rngs=nnx.Rngs(0), **o),
        {"input_init": (None, "d")},
        {"recurrent.w_xh": "input_init"},
    ),
}


def parameter_of(layer, path: str) -> nnx.Param:
    for name in path.split("."):
        layer = getattr(layer, name)
    return layer


@pytest.mark.parametrize("wrap", [nnx.with_partitioning, linen.with_partitioning])
@pytest.mark.parametrize("name", LAYERS)
def test_a_parameter_keeps_its_sharding(name, wrap):
    make, shardings, drawn = LAYERS[name]
    mesh = jax.make_mesh((1,), ("d",), (jax.sharding.AxisType.Auto,))
    inits = {
        init: wrap(INITS[init], sharding, mesh=mesh)
        for init, sharding in shardings.items()
    }
    layer, plain = make(**inits), make(**{init: INITS[init] for init in inits})
    for path, init in drawn.items():
        param = parameter_of(layer, path)
        assert param.get_metadata()["out_sharding"] == shardings[init]
        assert param[...].sharding.spec == PartitionSpec(*shardings[init])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7),
        jax.tree.leaves(nnx.state(layer)),
        jax.tree.leaves(nnx.state(plain)),
    )


def test_a_stack_has_a_sharding_for_the_axis_of_its_blocks():
    mesh = jax.make_mesh((1,), ("d",), (jax.sharding.AxisType.Auto,))
    init = nnx.with_partitioning(INITS["kernel_init"], (None, None, "d"), mesh=mesh)
    make = lambda rngs: nn.Conv(2, 2, (3,), kernel_init=init, rngs=rngs)
    stack = nn.Stack(make, 3, rngs=nnx.Rngs(0))
    kernel = stack.blocks.kernel
    assert kernel.get_metadata()["out_sharding"] == (None, None, None, "d")
    assert stack(jnp.ones((1, 4, 2))).shape == (1, 4, 2)
