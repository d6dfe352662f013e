"""Training a network for one step, or for an epoch: forward, backward, update."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets import models, nn, training
from jaxnets.bench.cases import Case, Program
from jaxnets.bench.flax import recurrence
from jaxnets.bench.flax import resnet as flax_resnet
from jaxnets.bench.grid import Row
from jaxnets.data import Labelled


def cases(row: Row) -> Iterator[Case]:
    """Yield the single case of a row: a training step, or an epoch of `updates` steps.

    Raises:
        ValueError: If our network and that of Flax differ in the number of parameters.
    """
    spec = row.spec
    x_key, label_key = jax.random.split(jax.random.key(1, impl="rbg"))
    shape, network, peer = NETWORKS[spec["function"]](spec)
    updates = (spec["updates"],) if "updates" in spec else ()
    shape = *updates, *shape
    x = jax.random.normal(x_key, shape, jnp.dtype(spec["dtype"]))
    labelled = shape[: len(updates) + 1]
    labels = jax.random.randint(label_key, labelled, 0, spec["classes"])
    counts = {parameter_count(network), parameter_count(peer)}
    if len(counts) > 1:
        raise ValueError(
            f"The networks have {counts} parameters; wanted the same number in both."
        )
    transform = optax.sgd(0.1, momentum=0.9)
    graphdef, state = training.train_state(network, transform)
    step = training.make_step(graphdef, training.classification, transform)
    if updates:
        epoch = lambda state, batches: jax.lax.scan(step, state, batches)
        flax_epoch, modules = flax_resnet.training_loop(peer, transform)
        batches = list(zip(x, labels, strict=True))
        programs = {
            "ours": Program(epoch, (state, Labelled(x, labels))),
            "flax": Program(flax_epoch, (modules, batches), compiled=True),
        }
    else:
        flax_step, flax_state = flax_resnet.training_step(peer, transform)
        programs = {
            "ours": Program(step, (state, Labelled(x, labels))),
            "flax": Program(flax_step, (flax_state, x, labels)),
        }
    yield Case(
        row,
        "epoch" if updates else "step",
        programs,
        in_torch=not updates,
        parameters=counts.pop(),
    )


def _resnet(spec: dict[str, Any]) -> tuple[tuple[int, ...], nnx.Module, nnx.Module]:
    sizes = spec["depth"], spec["channels"], spec["classes"]
    network = models.ResNet(*sizes, rngs=nnx.Rngs(0))
    peer = flax_resnet.ResNet(*sizes, rngs=nnx.Rngs(0))
    return (spec["batch"], *spec["spatial"], spec["channels"]), network, peer


def _lstm(spec: dict[str, Any]) -> tuple[tuple[int, ...], nnx.Module, nnx.Module]:
    sizes = spec["in_features"], spec["hidden"], spec["classes"]
    network = models.ManyToOne(nn.LSTM, *sizes, rngs=nnx.Rngs(0))
    peer = recurrence.ManyToOne(*sizes, rngs=nnx.Rngs(0))
    return (spec["batch"], spec["time"], spec["in_features"]), network, peer


# By function: the shape of the input, our network and the same one in plain Flax.
NETWORKS = {"resnet": _resnet, "many_to_one": _lstm}


def parameter_count(model: nnx.Module) -> int:
    """Return the number of parameters of the model."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
