"""A ResNet and its training step in plain Flax NNX, as a Flax user would write them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx


class Block(nnx.Module):
    """A block of two convolutions, whose shortcut has no parameters."""

    def __init__(self, channels: int, features: int, strides: int, *, rngs: nnx.Rngs):
        self.first = nnx.Conv(
            channels, features, (3, 3), strides=strides, use_bias=False, rngs=rngs
        )
        self.first_norm = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)
        self.second = nnx.Conv(features, features, (3, 3), use_bias=False, rngs=rngs)
        self.second_norm = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)
        self.strides, self.padded = strides, features - channels

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `(batch, height, width, channels)` to `(batch, ..., features)`."""
        y = nnx.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        shortcut = x[:, :: self.strides, :: self.strides]
        shortcut = jnp.pad(shortcut, ((0, 0), (0, 0), (0, 0), (0, self.padded)))
        return nnx.relu(y + shortcut)


class ResNet(nnx.Module):
    """The residual network of He et al. 2015 for small images, without a scan."""

    def __init__(self, depth: int, channels: int, classes: int, *, rngs: nnx.Rngs):
        widths = (16, 32, 64)
        self.stem = nnx.Conv(channels, widths[0], (3, 3), use_bias=False, rngs=rngs)
        self.stem_norm = nnx.BatchNorm(widths[0], momentum=0.9, rngs=rngs)
        self.blocks = nnx.List()
        channels = widths[0]
        for width in widths:
            for _ in range((depth - 2) // 6):
                strides = 1 if width == channels else 2
                self.blocks.append(Block(channels, width, strides, rngs=rngs))
                channels = width
        self.output = nnx.Linear(channels, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the logits of `x`, of shape `(batch, classes)`."""
        x = nnx.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.output(x.mean((1, 2)))


def training_step(
    model: nnx.Module, transform: optax.GradientTransformation
) -> tuple[Callable[..., Any], Any]:
    """Return `step(state, x, labels) -> (state, loss)` and the initial state.

    The modules are split once, outside `jit`, as Flax's guide on performance advises.
    """
    graphdef, state = nnx.split(_with_optimizer(model, transform))

    def step(state, x, labels):
        model, optimizer = nnx.merge(graphdef, state)
        loss = _update(model, optimizer, x, labels)
        return nnx.state((model, optimizer)), loss

    return step, state


def training_loop(
    model: nnx.Module, transform: optax.GradientTransformation
) -> tuple[Callable[..., Any], Any]:
    """Return `epoch(modules, batches) -> losses` and the network with its optimizer.

    It is the loop of Flax's tutorials: a call of a jitted function for each batch.
    """
    update: Any = nnx.jit(_update)

    def epoch(modules, batches):
        return [update(*modules, x, labels) for x, labels in batches]

    return epoch, _with_optimizer(model, transform)


def _with_optimizer(model: nnx.Module, transform: optax.GradientTransformation) -> Any:
    model.train()
    return model, nnx.Optimizer(model, transform, wrt=nnx.Param)


def _update(model: Any, optimizer: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
    def loss_of(model):
        losses = optax.softmax_cross_entropy_with_integer_labels(model(x), labels)
        return losses.mean()

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss
