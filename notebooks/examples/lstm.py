"""An LSTM over 60 steps, which answers at the end: `jaxnets check lstm.py`."""

import jax
import optax
from flax import nnx


optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))


class Adder(nnx.Module):
    """Reads pairs of a number and a mark, and adds the two marked numbers."""

    def __init__(self, rngs: nnx.Rngs):
        self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(2, 32, rngs=rngs))
        self.head = nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x):
        """Return the sum of each sequence, from the last hidden state."""
        return self.head(self.rnn(x)[:, -1])[:, 0]


def make(rngs):
    """Return the network."""
    return Adder(rngs)


def loss(model, batch):
    """Return the mean squared error."""
    sequences, sums = batch
    return ((model(sequences) - sums) ** 2).mean()


def batch(key):
    """Return sequences and their sums: one mark in each half."""
    numbers, first, second = jax.random.split(key, 3)
    values = jax.random.uniform(numbers, (64, 60))
    marks = jax.nn.one_hot(jax.random.randint(first, (64,), 0, 30), 60)
    marks += jax.nn.one_hot(jax.random.randint(second, (64,), 30, 60), 60)
    return jax.numpy.stack([values, marks], axis=-1), (values * marks).sum(axis=1)
