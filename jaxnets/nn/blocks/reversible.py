"""A block that can be inverted, so that a stack need not store its activations."""

import jax
import jax.numpy as jnp

from jaxnets.nn.blocks.branch import Branch, Features
from jaxnets.nn.inputs import as_images
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.parameters import check_counts
from jaxnets.tap import tap


class ReversibleBlock(CompiledModule):
    """Two branches F and G on the halves of the channels, which can be inverted.

    With `x = [x1, x2]` and `y = [y1, y2]`

        y1 = x1 + F(x2),   y2 = x2 + G(y1),
        x2 = y2 - G(y1),   x1 = y1 - F(x2).

    A `Stack` of these blocks with `checkpoint="inverse"` stores no activations. In
    training mode BatchNorm uses the statistics of the batch in both directions; the
    inverse does not update the running ones.

    Args:
        features: C, an even number of channels.
        **options: Switches of the branches, as of `jaxnets.nn.Block`: `layers`,
            `norm`, `activation`, `scalar_biases`, `kernel_init`, `last_kernel_init`,
            `bias_init`, `rngs`, and `order`, which is "pre" here by default.

    Attributes:
        first: F, with C / 2 channels.
        second: G, with C / 2 channels.

    Raises:
        TypeError: If `features` is not an int.
        ValueError: If `features` is odd or below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> make = lambda rngs: nn.ReversibleBlock(4, rngs=rngs)
        >>> stack = nn.Stack(make, 20, checkpoint="inverse", rngs=nnx.Rngs(0))
        >>> x = jnp.ones((2, 8, 8, 4))
        >>> bool(jnp.allclose(stack.invert(stack(x)), x, atol=1e-3))
        True

    Source: Gomez et al. 2017, "The Reversible Residual Network: Backpropagation Without
    Storing Activations", equations 6 and 7.
    """

    def __init__(self, features: int, **options):
        check_counts(features=features)
        half, odd = divmod(features, 2)
        if odd:
            raise ValueError(
                f"`features` is {features}; wanted an even number, since each branch "
                "has half of the channels."
            )
        self.features = features
        options = {"order": "pre"} | options
        self.first = Branch(half, half, **options)
        self.second = Branch(half, half, **options)

    def __call__(self, x: Features) -> Features:
        """Map `x (B, height, width, C)` to an array of the same shape."""
        x1, x2 = self._halves(x)
        y1 = x1 + self.first(x2)
        y2 = x2 + self.second(y1)
        return tap(jnp.concatenate([y1, y2], axis=-1), "block")

    def inverse(self, y: Features) -> Features:
        """Return the `x` whose output is `y (B, height, width, C)`."""
        y1, y2 = self._halves(y)
        x2 = y2 - self.second(y1)
        x1 = y1 - self.first(x2)
        return jnp.concatenate([x1, x2], axis=-1)

    def _halves(self, x: Features) -> list[jax.Array]:
        return jnp.split(as_images(x, self.features), 2, axis=-1)
