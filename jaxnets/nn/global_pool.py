"""Global pooling and flattening: from feature maps to one vector per example."""

import math
from dataclasses import KW_ONLY

from jaxtyping import Array, Shaped

from jaxnets import functional as F
from jaxnets.arguments import as_array
from jaxnets.nn.module import Module, layer
from jaxnets.nn.pool import Pool
from jaxnets.typing import ArrayLike


@layer
class _GlobalPool(Pool):
    """The options that all global pools share."""

    _: KW_ONLY
    spatial_ndim: int | None = None
    keepdims: bool = False


@layer
class GlobalMaxPool(_GlobalPool):
    """The maximum of each feature map: `jaxnets.functional.global_max_pool`.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.GlobalMaxPool()(jnp.arange(8.0).reshape(1, 2, 2, 2))
        Array([[6., 7.]], dtype=float32)
    """

    _function = F.global_max_pool


@layer
class GlobalAvgPool(_GlobalPool):
    """The mean of each feature map: `jaxnets.functional.global_avg_pool`.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.GlobalAvgPool()(jnp.arange(8.0).reshape(1, 2, 2, 2))
        Array([[3., 4.]], dtype=float32)
    """

    _function = F.global_avg_pool


@layer
class GlobalSumPool(_GlobalPool):
    """The sum of each feature map: `jaxnets.functional.global_sum_pool`.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.GlobalSumPool()(jnp.arange(8.0).reshape(1, 2, 2, 2))
        Array([[12., 16.]], dtype=float32)
    """

    _function = F.global_sum_pool


@layer
class Flatten(Module):
    """Flatten all axes but the first: one vector per example.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.Flatten()(jnp.ones((5, 2, 2, 3))).shape
        (5, 12)
    """

    def __call__(
        self, x: Shaped[ArrayLike, "batch *rest"]
    ) -> Shaped[Array, "batch features"]:
        """Reshape `x (B, ...)` to `(B, features)`."""
        x = as_array(x, "x")
        if not x.ndim:
            raise ValueError("`x` has shape (); wanted (batch, ...), one axis or more.")
        # Not -1: an empty batch would leave the size undetermined.
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))
