"""Data-parallel steps, compiled for four TPUs: nothing is gathered between them."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.bench.compiled.compiler import devices_of
from jaxnets.data import Labelled
from jaxnets.training import classification, make_step, train_state


pytestmark = pytest.mark.tpu_compiler


class SequenceNet(nnx.Module):
    def __init__(self, rngs):
        self.lstm = nn.LSTM(16, 32, rngs=rngs)
        self.out = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(self.lstm(x)[1][:, -1])


class GroupedNet(nnx.Module):
    def __init__(self, rngs):
        self.grouped = nn.Conv(16, 32, (3, 3), feature_group_count=4, rngs=rngs)
        self.depthwise = nn.Conv(32, 32, (3, 3), feature_group_count=32, rngs=rngs)
        self.out = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        x = self.depthwise(self.grouped(x))
        pooled = F.max_pool(x, 3, strides=2) + F.avg_pool(x, 3, strides=2)
        return self.out(pooled.mean((1, 2)))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (SequenceNet, (32, 24, 16)),
        (GroupedNet, (32, 16, 16, 16)),
        (lambda rngs: models.ResNet(20, 3, 10, rngs=rngs), (32, 16, 16, 3)),
    ],
    ids=["lstm", "grouped", "resnet-20"],
)
def test_a_data_parallel_step_only_reduces(make, shape):
    """What is reduced are gradients, and the statistics of BatchNorm over the batch."""
    types = (AxisType.Auto,)
    mesh = Mesh(np.array(devices_of("v5e")), ("data",), axis_types=types)
    spec = lambda a, *axes: jax.ShapeDtypeStruct(
        a.shape, a.dtype, sharding=NamedSharding(mesh, PartitionSpec(*axes))
    )
    optimizer = optax.sgd(0.1)
    graphdef, state = train_state(make(nnx.Rngs(0)), optimizer)
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    labels = jax.ShapeDtypeStruct(shape[:1], jnp.int32)
    data: Any = spec(images, "data"), spec(labels, "data")
    step = jax.jit(make_step(graphdef, classification, optimizer))
    program = (
        step.lower(jax.tree.map(spec, state), Labelled(*data)).compile().as_text() or ""
    )
    kinds = r"all-\w+|collective-\w+|reduce-scatter|ragged-[\w-]+?"
    found = set(re.findall(rf" ({kinds})(?:-start)?\(", program))
    assert found == {"all-reduce"}
