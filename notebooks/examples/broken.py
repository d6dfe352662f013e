"""A network that does not train. `jaxnets check broken.py` says why."""

import jax
import optax
from flax import nnx


classes = 10
optimizer = optax.adam(1e-3)


def make(rngs):
    """Return ten layers of sigmoids, in which the gradient vanishes."""
    layers = []
    for _ in range(10):
        layers += [nnx.Linear(32, 32, rngs=rngs), nnx.sigmoid]
    return nnx.Sequential(*layers, nnx.Linear(32, classes, rngs=rngs))


def loss(model, batch):
    """Return the cross-entropy of a batch of inputs and labels."""
    inputs, labels = batch
    logits = model(inputs)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def batch(key):
    """Return a batch of random inputs and labels."""
    return (
        jax.random.normal(key, (128, 32)),
        jax.random.randint(key, (128,), 0, classes),
    )
