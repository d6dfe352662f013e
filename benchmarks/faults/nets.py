"""Building blocks of the networks."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


HE = nnx.initializers.he_normal()
LECUN = nnx.initializers.lecun_normal()


def gain(factor: float) -> Any:
    """Normal weights of the standard deviation `factor / sqrt(fan-in)`."""
    return nnx.initializers.variance_scaling(factor**2, "fan_in", "normal")


class Mlp(nnx.Module):
    """Linear layers `body`, each with its activation, and a linear `head`."""

    def __init__(
        self,
        rngs: nnx.Rngs,
        depth: int = 4,
        activation: Callable[[Any], Any] = nnx.relu,
        init: Any = HE,
        inits: dict[int, Any] | None = None,
        biases: dict[int, Any] | None = None,
        width: int = 32,
        inputs: int = 16,
        outputs: int = 8,
        head: Any = LECUN,
    ):
        inits, biases = inits or {}, biases or {}
        zeros = nnx.initializers.zeros_init()
        self.body = nnx.List(
            [
                nnx.Linear(
                    width if n else inputs,
                    width,
                    kernel_init=inits.get(n, init),
                    bias_init=biases.get(n, zeros),
                    rngs=rngs,
                )
                for n in range(depth)
            ]
        )
        self.head = nnx.Linear(width, outputs, kernel_init=head, rngs=rngs)
        self.activation = activation

    def features(self, x):
        for layer in self.body:
            x = self.activation(layer(x))
        return x

    def __call__(self, x):
        return self.head(self.features(x))


class Attention(nnx.Module):
    """Attention with one head; `temperature` multiplies its logits.

    `init` draws the weights of queries and keys, which RMS norm scales if `normalised`.
    """

    def __init__(
        self,
        width: int,
        rngs: nnx.Rngs,
        temperature: float | None = None,
        init: Any = LECUN,
        normalised: bool = False,
    ):
        self.query = nnx.Linear(width, width, kernel_init=init, rngs=rngs)
        self.key = nnx.Linear(width, width, kernel_init=init, rngs=rngs)
        self.value = nnx.Linear(width, width, rngs=rngs)
        self.out = nnx.Linear(width, width, rngs=rngs)
        self.temperature = width**-0.5 if temperature is None else temperature
        self.norms = nnx.List(
            [nnx.RMSNorm(width, rngs=rngs) for _ in range(2 * normalised)]
        )

    def __call__(self, x, mask=None):
        queries, keys = self.query(x), self.key(x)
        if self.norms:
            queries, keys = self.norms[0](queries), self.norms[1](keys)
        logits = jnp.einsum("btd,bsd->bts", queries, keys) * self.temperature
        if mask is not None:
            logits = jnp.where(mask, logits, -1e9)
        weights = nnx.softmax(logits)
        return self.out(jnp.einsum("bts,bsd->btd", weights, self.value(x)))


class TransformerBlock(nnx.Module):
    """A block with layer norm first."""

    def __init__(self, width: int, rngs: nnx.Rngs, **options: Any):
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.attention = Attention(width, rngs, **options)
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x, mask=None):
        x = x + self.attention(self.norm1(x), mask)
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class ConvBlock(nnx.Module):
    """Two convolutions with batch normalisation and a shortcut."""

    def __init__(self, width: int, rngs: nnx.Rngs, shortcut: bool = True):
        self.conv1 = nnx.Conv(width, width, (3, 3), kernel_init=HE, rngs=rngs)
        self.norm1 = nnx.BatchNorm(width, rngs=rngs)
        self.conv2 = nnx.Conv(width, width, (3, 3), kernel_init=HE, rngs=rngs)
        self.norm2 = nnx.BatchNorm(width, rngs=rngs)
        self.shortcut = shortcut

    def __call__(self, x):
        y = nnx.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return nnx.relu(x + y if self.shortcut else y)


class Recurrent(nnx.Module):
    """A recurrent layer whose last output a linear head reads."""

    def __init__(self, cell: nnx.RNNCellBase, hidden: int, rngs: nnx.Rngs):
        self.rnn = nnx.RNN(cell)
        self.head = nnx.Linear(hidden, 8, rngs=rngs)

    def __call__(self, x):
        return self.head(outputs(self.rnn, x)[:, -1])


class Unrolled(nnx.Module):
    """An RNN of its own, unrolled in Python."""

    def __init__(self, rngs: nnx.Rngs, recurrent: Any, activation=jnp.tanh, steps=20):
        self.wx = nnx.Linear(6, 24, rngs=rngs)
        self.wh = nnx.Linear(24, 24, kernel_init=recurrent, use_bias=False, rngs=rngs)
        self.head = nnx.Linear(24, 8, rngs=rngs)
        self.activation = activation
        self.steps = steps

    def __call__(self, x):
        h = jnp.zeros((x.shape[0], 24))
        for t in range(self.steps):
            h = self.activation(self.wx(x[:, t]) + self.wh(h))
        return self.head(h)


def outputs(rnn: nnx.RNN, x: Any, **options: Any) -> Any:
    """Return the outputs of all steps, `(batch, time, features)`."""
    return rnn(x, **options)


def stop(x: Any) -> Any:
    """No gradient passes."""
    return jax.lax.stop_gradient(x)
