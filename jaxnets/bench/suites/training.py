"""One training step of a network: forward, backward, update."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets import models, training
from jaxnets.bench.cases import Case, Program
from jaxnets.bench.flax import resnet as flax_resnet
from jaxnets.bench.grid import Row
from jaxnets.data import Labelled


def cases(row: Row) -> Iterator[Case]:
    """Yield the single case of a row, a training step of a residual network.

    Raises:
        ValueError: If our network and that of Flax differ in the number of parameters.
    """
    spec = row.spec
    x_key, label_key = jax.random.split(jax.random.key(1, impl="rbg"))
    shape = (spec["batch"], *spec["spatial"], spec["channels"])
    x = jax.random.normal(x_key, shape, jnp.dtype(spec["dtype"]))
    labels = jax.random.randint(label_key, shape[:1], 0, spec["classes"])
    sizes = spec["depth"], spec["channels"], spec["classes"]
    network = models.ResNet(*sizes, rngs=nnx.Rngs(0))
    peer = flax_resnet.ResNet(*sizes, rngs=nnx.Rngs(0))
    counts = {parameter_count(network), parameter_count(peer)}
    if len(counts) > 1:
        raise ValueError(
            f"The networks have {counts} parameters; wanted the same number in both."
        )
    transform = optax.sgd(0.1, momentum=0.9)
    graphdef, state = training.train_state(network, transform)
    step = training.make_step(graphdef, training.classification, transform)
    flax_step, flax_state = flax_resnet.training_step(peer, transform)
    programs = {
        "ours": Program(step, (state, Labelled(x, labels))),
        "flax": Program(flax_step, (flax_state, x, labels)),
    }
    yield Case(row, "step", programs, parameters=counts.pop())


def parameter_count(model: nnx.Module) -> int:
    """Return the number of parameters of the model."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
