"""A multilayer perceptron with a choice of activation and initial gain."""

from collections.abc import Callable, Sequence

import jax
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float

from jaxnets import nn
from jaxnets.nn.module import CompiledModule
from jaxnets.tap import tap
from jaxnets.typing import ArrayLike


class MLP(CompiledModule):
    """Fully connected layers with one activation: `h_l = phi(W_l h_{l-1} + b_l)`.

    Args:
        in_features: D, features of an example after flattening.
        classes: Number of classes.
        widths: Units of each hidden layer.
        activation: `phi`.
        gain: Standard deviation of the initial weights in units of `1 / sqrt(fan_in)`:
            1 is LeCun's initialisation, sqrt(2) He's.
        dropout: Dropout rate after each hidden layer.
        rngs: Source of randomness; its `params` and `dropout` streams are used.

    Raises:
        ValueError: If `widths` is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import models
        >>> model = models.MLP(
        ...     64, 10, widths=(32, 32), activation=jnp.tanh, rngs=nnx.Rngs(0)
        ... )
        >>> model(jnp.ones((5, 8, 8, 1))).shape
        (5, 10)
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        *,
        widths: Sequence[int],
        activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
        gain: float = 1.0,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
    ):
        if not widths:
            raise ValueError("`widths` is empty; wanted at least one hidden layer.")
        features = [in_features, *widths]
        kernel_init = initializers.variance_scaling(gain**2, "fan_in", "normal")
        self.flatten = nn.Flatten()
        self.layers = nnx.List(
            nnx.Linear(features[i], width, kernel_init=kernel_init, rngs=rngs)
            for i, width in enumerate(widths)
        )
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.output = nnx.Linear(features[-1], classes, rngs=rngs)
        self.activation = activation

    def __call__(
        self, x: Float[ArrayLike, "batch *features"]
    ) -> Float[Array, "batch out"]:
        """Return the logits `(B, classes)` of `x (B, ...)`."""
        return self.output(self.dropout(self.hidden(x)[-1]))

    def hidden(self, x: Float[ArrayLike, "batch *features"]) -> list[jax.Array]:
        """Return the activations `(B, units)` of every hidden layer."""
        h = self.flatten(x)
        activations = []
        for number, layer in enumerate(self.layers, 1):
            h = h if number == 1 else self.dropout(h)
            h = tap(self.activation(layer(h)), f"layer{number}")
            activations.append(h)
        return activations
