"""Code with a fault that some verdicts find, and name with its line."""

import jax
import jax.numpy as jnp
from flax import nnx
from networks import Network


class Detached(Network):
    def __call__(self, x):
        return self.head(jax.lax.stop_gradient(self.features(x)))


class Probabilities(Network):
    def __call__(self, x):
        return nnx.softmax(super().__call__(x))


def overflowing_loss(model, x, labels):
    shares = jnp.exp(60 * model(x))
    shares = shares / shares.sum(-1, keepdims=True)
    return -jnp.log(shares[jnp.arange(48), labels]).mean()


@jax.custom_vjp
def soft_plus(x):
    return jnp.log1p(jnp.exp(-jnp.abs(x))) + jnp.maximum(x, 0)


def soft_plus_backward(x, cotangent):
    # The derivative is sigmoid(x).
    return (cotangent * nnx.sigmoid(-x),)


soft_plus.defvjp(lambda x: (soft_plus(x), x), soft_plus_backward)
