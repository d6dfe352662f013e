"""The network, the data and the loss of the pages about verdicts."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx


HE = nnx.initializers.he_normal()
LECUN = nnx.initializers.lecun_normal()


class Network(nnx.Module):
    """Linear layers `body`, each with an activation, and a linear `head`."""

    def __init__(self, rngs, depth=4, activation=nnx.relu, init=HE, bias=0.0):
        constant = nnx.initializers.constant(bias)
        options = {"kernel_init": init, "bias_init": constant, "rngs": rngs}
        self.body = nnx.List([nnx.Linear(16, 16, **options) for _ in range(depth)])
        self.head = nnx.Linear(16, 8, rngs=rngs)
        self.activation = activation

    def features(self, x):
        for layer in self.body:
            x = self.activation(layer(x))
        return x

    def __call__(self, x):
        return self.head(self.features(x))


def loss(model, x, labels):
    """Return the cross-entropy of the logits that the model returns."""
    logits = model(x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def gain(factor):
    """Return an initialiser of the standard deviation factor / sqrt(fan-in)."""
    return nnx.initializers.variance_scaling(factor**2, "fan_in", "normal")


LABELS = jnp.arange(48) % 8
# Points around eight centres, one for each class.
CENTRES = 2.0 * jax.random.normal(jax.random.key(0), (8, 16))
BATCH = CENTRES[LABELS] + jax.random.normal(jax.random.key(1), (48, 16)), LABELS
