"""The network: a CNN sees, and an LSTM that attends to its features writes."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn
from jaxnets.tasks.captions.scenes import CANVAS, MOST, WORDS, Scenes
from jaxnets.tasks.decoder import Contrast, Decoder, Memory
from jaxnets.typing import ArrayLike


CHANNELS, FEATURES, HIDDEN = (32, 128), 32, 128
# Cells of a side of the map of features; a cell stands for 4 x 4 pixels.
CELLS = CANVAS // 4


class Layer(nnx.Module):
    """A convolution, BatchNorm and ReLU."""

    def __init__(self, channels: int, outputs: int, size: int, rngs: nnx.Rngs):
        self.conv = nn.Conv(channels, outputs, (size, size), use_bias=False, rngs=rngs)
        self.norm = nn.BatchNorm(outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return `(B, height, width, outputs)` of `x (B, height, width, channels)`."""
        return jax.nn.relu(self.norm(self.conv(x)))


class Captioner(nnx.Module):
    """Convolutions, whose features at each place are the memory of a decoder.

    Source: Xu et al. 2015, "Show, Attend and Tell: Neural Image Caption Generation with
    Visual Attention", soft attention.
    """

    def __init__(self, *, attends: bool, rngs: nnx.Rngs):
        few, many = CHANNELS
        self.strokes = Layer(1, few, 3, rngs)
        self.parts = Layer(few, many, 3, rngs)
        self.placed = Layer(many, many, 1, rngs)
        # Tells places apart, which the words "above" and "left" need.
        self.places = nnx.Param(rngs.params.normal((CELLS, CELLS, many)))
        self.decoder = Decoder(
            nn.LSTM,
            len(WORDS),
            FEATURES,
            HIDDEN,
            many,
            many,
            attends=attends,
            rngs=rngs,
        )

    def encode(self, image: ArrayLike) -> Memory:
        """Return the features `(B, 36, 128)` of images `(B, 24, 24, 1)`."""
        x = F.max_pool(self.strokes(jnp.asarray(image)), (2, 2))
        x = F.max_pool(self.parts(x), (2, 2))
        x = self.placed(x + self.places[...])
        steps = x.reshape(len(x), -1, x.shape[-1])
        return Memory(steps, None, jnp.mean(steps, axis=1))

    def __call__(self, batch: Scenes) -> tuple[jax.Array, jax.Array]:
        """Return logits `(B, N, V)` and the weights of the attention `(B, N, 36)`."""
        memory = self.encode(batch.image)
        return self.decoder(memory, batch.targets)


def make_network(rngs: nnx.Rngs) -> Contrast:
    """Return a network with attention and one without."""
    make = lambda attends: Captioner(attends=attends, rngs=rngs)
    return Contrast(make, contrasts=True)


@functools.partial(nnx.jit, static_argnames="beams")
def captions(network: Captioner, image: ArrayLike, beams: int = 1) -> jax.Array:
    """Return the words of the likeliest captions `(B, beams, 14)` of images."""
    return network.decoder.write(network.encode(image), beams=beams, steps=MOST)
