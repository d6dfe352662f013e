"""Pooling to a given shape as Flax NNX modules: adaptive, fractional, and unpooling."""

from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Shaped

from jaxnets import functional as F
from jaxnets.nn.module import Module, layer
from jaxnets.nn.options import check_sizes, freeze_options, frozen, stream
from jaxnets.nn.pool import Pool
from jaxnets.typing import ArrayLike


@layer
class _AdaptivePool(Pool):
    """The option that adaptive pools share."""

    output_shape: int | Sequence[int | None]


@layer
class AdaptiveMaxPool(_AdaptivePool):
    """Adaptive max pooling: `jaxnets.functional.adaptive_max_pool`.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.AdaptiveMaxPool(3)(jnp.arange(7.0)[None, :, None]).ravel()
        Array([2., 4., 6.], dtype=float32)
    """

    _function = F.adaptive_max_pool


@layer
class AdaptiveAvgPool(_AdaptivePool):
    """Adaptive average pooling: `jaxnets.functional.adaptive_avg_pool`.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.AdaptiveAvgPool(3)(jnp.arange(7.0)[None, :, None]).ravel()
        Array([1., 3., 5.], dtype=float32)
    """

    _function = F.adaptive_avg_pool


class FractionalMaxPool(Module):
    """Fractional max pooling: `jaxnets.functional.fractional_max_pool`.

    Every call draws new windows, in evaluation mode too; there the paper averages the
    predictions of several calls.

    Args:
        window_shape: Size of the windows.
        output_shape: Number of windows on each spatial axis.
        rngs: Source of randomness; its `pool` stream is used.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> pool = nn.FractionalMaxPool(2, 17, rngs=nnx.Rngs(0))
        >>> pool(jnp.ones((1, 24, 24, 3))).shape
        (1, 17, 17, 3)
    """

    def __init__(
        self,
        window_shape: int | Sequence[int],
        output_shape: int | Sequence[int],
        *,
        rngs: nnx.Rngs,
    ):
        check_sizes(window_shape, "window_shape")
        check_sizes(output_shape, "output_shape")
        self.window_shape = frozen(window_shape)
        self.output_shape = frozen(output_shape)
        self.rngs = stream(rngs, "pool").fork()

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`."""
        return F.fractional_max_pool(
            x, self.window_shape, self.output_shape, key=self.rngs()
        )


@layer
class MaxUnpool(Module):
    """Max unpooling: `jaxnets.functional.max_unpool`.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> y, indices = nn.MaxPoolWithIndices(2)(jnp.array([[[3.0], [4.0]]]))
        >>> nn.MaxUnpool(2)(y, indices).ravel()
        Array([0., 4.], dtype=float32)
    """

    spatial_shape: int | Sequence[int]

    def __post_init__(self):
        freeze_options(self)

    def __call__(
        self,
        y: Shaped[ArrayLike, "*batch_out channels"],
        indices: Shaped[ArrayLike, "*batch_out channels"],
    ) -> Shaped[Array, "*batch_spatial channels"]:
        """Write `y (*batch, *out, C)` to the positions that `indices` name."""
        return F.max_unpool(y, indices, self.spatial_shape)
