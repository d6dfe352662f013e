"""A ConvNet of convolutions, pooling and fully connected layers."""

from collections.abc import Callable, Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float

from jaxnets import nn
from jaxnets.arguments import as_count
from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.models.arguments import as_image_shape, as_widths
from jaxnets.nn.inputs import as_images
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.options import check_range, frozen
from jaxnets.tap import tap
from jaxnets.typing import ArrayLike


class ConvNet(CompiledModule):
    """Stages of convolution, ReLU and 2x2 max pooling; then two fully connected layers.

    The model returns logits, as Optax's losses expect them; `softmax(model(x))` are the
    probabilities of the classes.

    Args:
        image_shape: `(height, width, C)` of the images.
        classes: Number of classes.
        widths: Channels of each stage; each stage halves the image.
        hidden: Units of the hidden fully connected layer.
        dropout: Dropout rate before the last layer.
        activation: Nonlinearity after each convolution and the hidden layer.
        rngs: Source of randomness; its `params` and `dropout` streams are used.

    Raises:
        TypeError: If an argument has the wrong type, such as an int for `image_shape`.
        ValueError: If the image is too small for the number of stages, or a size is
            below 1; in a call, if the images have another shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import models
        >>> model = models.ConvNet((8, 8, 1), 10, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((5, 8, 8, 1))).shape
        (5, 10)

    Source: LeCun et al. 1998, "Gradient-based learning applied to document
    recognition", section II, with ReLU, max pooling and softmax, as is usual today.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        *,
        widths: Sequence[int] = (16, 32),
        hidden: int = 64,
        dropout: float = 0.0,
        activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
        rngs: nnx.Rngs,
    ):
        height, width, channels = as_image_shape(image_shape)
        widths = as_widths(widths, "stage", least=0)
        as_count(classes, "classes")
        as_count(hidden, "hidden")
        check_range(dropout, "dropout", 0, 1)
        check_callables(activation=activation)
        self.image_shape = (height, width, channels)
        reduction = 2 ** len(widths)
        if min(height, width) < reduction:
            raise ValueError(
                f"`widths` has {len(widths)} stages, each of which halves the image of "
                f"{height} x {width}; wanted at most "
                f"{min(height, width).bit_length() - 1}."
            )
        features = [channels, *widths]
        self.convolutions = nnx.List(
            nn.Conv(features[i], features[i + 1], (3, 3), rngs=rngs)
            for i in range(len(widths))
        )
        flat_features = (height // reduction) * (width // reduction) * features[-1]
        self.pool = nn.MaxPool(2)
        self.flatten = nn.Flatten()
        self.hidden = nnx.Linear(flat_features, hidden, rngs=rngs)
        self.dropout = nnx.Dropout(frozen(dropout), rngs=rngs)
        self.output = nnx.Linear(hidden, classes, rngs=rngs)
        self.activation = activation

    def __call__(
        self, x: Float[ArrayLike, "batch height width channels"]
    ) -> Float[Array, "batch classes"]:
        """Return the logits `(B, classes)` of images `x (B, height, width, C)`."""
        *size, channels = self.image_shape
        x = as_images(x, channels, tuple(size))
        for number, convolution in enumerate(self.convolutions, 1):
            x = tap(self.activation(convolution(x)), f"conv{number}")
            x = self.pool(x)
        x = tap(self.activation(self.hidden(self.flatten(x))), "hidden")
        return self.output(self.dropout(x))
