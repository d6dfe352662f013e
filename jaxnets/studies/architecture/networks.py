"""Dense, convolutional and recurrent networks with about the same number of weights."""

import bisect
from collections.abc import Callable, Sequence

import jax
from flax import nnx

from jaxnets import models, nn
from jaxnets.typing import ArrayLike


# Widths that are tried to meet a number of parameters.
WIDTHS = range(1, 1025)


class ConvClassifier(nnx.Module):
    """Two convolutions with ReLU, max pooling in between, the mean over positions.

    Args:
        shape: `(*spatial, C)` of an example, with any number of spatial axes.
        channels: Feature maps of the first convolution; the second has twice as many.
        outputs: Number of classes, or of numbers to predict.
        rngs: Source of randomness.
    """

    def __init__(
        self, shape: Sequence[int], channels: int, outputs: int, *, rngs: nnx.Rngs
    ):
        window = (3,) * (len(shape) - 1)
        self.first = nn.Conv(shape[-1], channels, window, rngs=rngs)
        self.pool = nn.MaxPool((2,) * len(window))
        self.second = nn.Conv(channels, 2 * channels, window, rngs=rngs)
        self.mean = nn.GlobalAvgPool(spatial_ndim=len(window))
        self.output = nnx.Linear(2 * channels, outputs, rngs=rngs)

    def __call__(self, x: ArrayLike) -> jax.Array:
        """Return `(B, outputs)` of examples `x (B, *spatial, C)`."""
        x = self.pool(jax.nn.relu(self.first(x)))
        return self.output(self.mean(jax.nn.relu(self.second(x))))


def dense(shape: Sequence[int], width: int, outputs: int, rngs: nnx.Rngs):
    """Return a network of two hidden layers that reads all inputs at once."""
    inputs = 1
    for size in shape:
        inputs *= size
    return models.MLP(inputs, outputs, widths=(width, width), rngs=rngs)


def convolutional(shape: Sequence[int], width: int, outputs: int, rngs: nnx.Rngs):
    """Return a convolutional network."""
    return ConvClassifier(shape, width, outputs, rngs=rngs)


def recurrent(shape: Sequence[int], width: int, outputs: int, rngs: nnx.Rngs):
    """Return a GRU that reads a sequence `(time, features)`."""
    return models.ManyToOne(nn.GRU, shape[-1], width, outputs, rngs=rngs)


def parameters(model: nnx.Module) -> int:
    """Return the number of weights of a network, whose arrays may be abstract."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def nearest_width(make: Callable[[int, nnx.Rngs], nnx.Module], wanted: int) -> int:
    """Return the width with the number of parameters nearest to the wanted one.

    Args:
        make: `make(width, rngs)`; more width makes more parameters.
        wanted: Number of parameters.

    Example:
        >>> make = lambda width, rngs: nnx.Linear(2, width, rngs=rngs)
        >>> nearest_width(make, 31)
        10
    """

    def count(width: int) -> int:
        return parameters(nnx.eval_shape(lambda: make(width, nnx.Rngs(0))))

    index = bisect.bisect_left(WIDTHS, wanted, key=count)
    near = WIDTHS[max(index - 1, 0) : index + 1]
    return min(near, key=lambda width: abs(count(width) - wanted))
