"""Small networks and data that the tests of training share."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets.data import Labelled
from jaxnets.tap import tap


class Tiny(nnx.Module):
    """A small network with all kinds of state: parameters, statistics, random keys."""

    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Linear(4, 6, rngs=rngs)
        self.norm = nnx.BatchNorm(6, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.output = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x):
        x = tap(jax.nn.relu(self.norm(self.first(x))), "first")
        return self.output(tap(self.dropout(x), "second"))


def examples(count: int, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4)).astype(np.float32)
    return Labelled(x, rng.integers(0, 3, count))


def assert_close(actual, expected, tolerance=1e-5):
    """Compare two pytrees of numbers and random keys."""
    plain = lambda a: a if not is_key(a) else jax.random.key_data(a)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(plain(a), plain(e), rtol=tolerance, atol=tolerance)


def is_key(array) -> bool:
    return jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
