"""A plain network of 20 hidden layers. Look at it with `jaxnets check mlp.py`."""

import jax
import optax
from flax import nnx


classes = 10
optimizer = optax.adam(1e-3)
he_normal = nnx.initializers.he_normal()


def make(rngs):
    """Return the network: ReLU layers with He's initialiser."""
    layers = [nnx.Linear(32, 64, kernel_init=he_normal, rngs=rngs), nnx.relu]
    for _ in range(19):
        layers += [nnx.Linear(64, 64, kernel_init=he_normal, rngs=rngs), nnx.relu]
    return nnx.Sequential(*layers, nnx.Linear(64, classes, rngs=rngs))


def loss(model, batch):
    """Return the cross-entropy of a batch of inputs and labels."""
    inputs, labels = batch
    logits = model(inputs)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def batch(key):
    """Return a batch; put your own data here."""
    return (
        jax.random.normal(key, (128, 32)),
        jax.random.randint(key, (128,), 0, classes),
    )
