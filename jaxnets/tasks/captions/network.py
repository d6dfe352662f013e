"""The network: a CNN sees, and an LSTM that attends to its features writes."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn
from jaxnets.tasks.captions.scenes import CANVAS, DIGIT, MOST, WORDS, Scenes
from jaxnets.tasks.decoder import Contrast, Decoder, Memory
from jaxnets.typing import ArrayLike


CHANNELS, FEATURES, HIDDEN = (32, 64, 128), 32, 128
# Standard deviation of the vectors that stand for places before training.
PLACES = 0.1
# Weight of the penalty for looking beside a digit.
PENALTY_WEIGHT = 0.1
# Cells of a side of the map of features; a cell stands for 4 x 4 pixels.
CELLS = CANVAS // 4


class Layer(nnx.Module):
    """A convolution, BatchNorm and ReLU."""

    def __init__(self, channels: int, outputs: int, rngs: nnx.Rngs):
        self.conv = nn.Conv(channels, outputs, (3, 3), use_bias=False, rngs=rngs)
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
        few, some, many = CHANNELS
        self.strokes = Layer(1, few, rngs)
        self.parts = Layer(few, some, rngs)
        self.digits = Layer(some, many, rngs)
        # Tells places apart, which the words "above" and "left" need. It is added after
        # the last ReLU, so that a digit has the same features at every place.
        places = rngs.params.normal((CELLS, CELLS, many))
        self.places = nnx.Param(PLACES * places)
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
        x = self.digits(x) + self.places[...]
        steps = x.reshape(len(x), -1, x.shape[-1])
        return Memory(steps, None, jnp.mean(steps, axis=1))

    def __call__(self, batch: Scenes) -> tuple[jax.Array, jax.Array]:
        """Return logits `(B, N, V)` and the weights of the attention `(B, N, 36)`."""
        memory = self.encode(batch.image)
        return self.decoder(memory, batch.targets)


def on_digit(corners: ArrayLike) -> jax.Array:
    """Return which cells have their centre in the digit that a word names.

    Args:
        corners: Those of the scenes, `(B, N, 2)`.

    Returns:
        `(B, N, 36)`; no cell for a word that names no digit.
    """
    corners = jnp.asarray(corners)
    # A cell stands for the pixels 4 i to 4 i + 3.
    centres = 4 * jnp.arange(CELLS) + 1.5
    low = corners[..., None]
    inside = (low <= centres) & (centres <= low + DIGIT - 1) & (low >= 0)
    rows, columns = inside[..., 0, :, None], inside[..., 1, None, :]
    return (rows & columns).reshape(*corners.shape[:-1], -1)


def astray(weights: jax.Array, batch: Scenes) -> jax.Array:
    """Return the penalty for looking beside the digits as they are named.

    A cell beside a digit sees it too. Without the penalty the network often attends to
    such cells, and the map does not show what it reads.

    Source: Liu et al. 2017, "Attention Correctness in Neural Image Captioning",
    supervised attention.
    """
    shares = jnp.sum(weights, axis=-1, where=on_digit(batch.corners))
    names = jnp.asarray(batch.corners)[..., 0] >= 0
    # Nothing is infinite for a network that looks nowhere near a digit.
    return -PENALTY_WEIGHT * jnp.mean(jnp.log(shares + 1e-6), where=names)


def make_network(rngs: nnx.Rngs) -> Contrast:
    """Return a network with attention and one without."""
    make = lambda attends: Captioner(attends=attends, rngs=rngs)
    return Contrast(make, contrasts=True)


@functools.partial(nnx.jit, static_argnames="beams")
def captions(network: Captioner, image: ArrayLike, beams: int = 1) -> jax.Array:
    """Return the words of the likeliest captions `(B, beams, 14)` of images."""
    return network.decoder.write(network.encode(image), beams=beams, steps=MOST)
