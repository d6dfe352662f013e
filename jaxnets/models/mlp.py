"""A multilayer perceptron with a choice of activation and initial gain."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float

from jaxnets import nn
from jaxnets.arguments import as_count
from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.models.arguments import as_features, as_widths
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.options import check_range, frozen
from jaxnets.tap import tap
from jaxnets.typing import ArrayLike


class MLP(CompiledModule):
    """A multilayer perceptron: `h_l = phi(W_l h_{l-1} + b_l)`, and linear logits.

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
        TypeError: If an argument has the wrong type, such as a shape for `in_features`.
        ValueError: If `widths` is empty or a size is below 1; in a call, if an example
            has another number of features.

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
        in_features = as_features(
            in_features,
            "the number of features of a flattened example",
            "MLP({product}, ...)",
        )
        as_count(classes, "classes")
        widths = as_widths(widths, "hidden layer")
        check_callables(activation=activation)
        check_range(gain, "gain", 0)
        check_range(dropout, "dropout", 0, 1)
        self.in_features = in_features
        features = [in_features, *widths]
        kernel_init = initializers.variance_scaling(gain**2, "fan_in", "normal")
        self.flatten = nn.Flatten()
        self.layers = nnx.List(
            nnx.Linear(features[i], width, kernel_init=kernel_init, rngs=rngs)
            for i, width in enumerate(widths)
        )
        self.dropout = nnx.Dropout(frozen(dropout), rngs=rngs)
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
        if h.shape[1] != self.in_features:
            raise ValueError(
                f"`x` has shape {jnp.shape(x)}, which is {h.shape[1]} features after "
                f"the batch axis; wanted {self.in_features}, as in `in_features`."
            )
        activations = []
        for number, layer in enumerate(self.layers, 1):
            h = h if number == 1 else self.dropout(h)
            h = tap(self.activation(layer(h)), f"layer{number}")
            activations.append(h)
        return activations
