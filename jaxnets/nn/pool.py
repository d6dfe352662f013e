"""Pooling and flattening as Flax NNX modules, for use in a sequence of layers."""

import dataclasses
import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Shaped

from jaxnets import functional as F
from jaxnets.nn.options import frozen
from jaxnets.typing import ArrayLike


@dataclasses.dataclass(kw_only=True)
class _WindowPool(nnx.Module):
    """The options that all window pools share; they are those of `functional`."""

    window_shape: int | Sequence[int] = dataclasses.field(kw_only=False)
    strides: int | Sequence[int] | None = None
    padding: str | int | Sequence = "VALID"
    padding_mode: str = "zeros"
    window_dilation: int | Sequence[int] = 1
    ceil_mode: bool = False

    def __post_init__(self):
        for name in ("window_shape", "strides", "padding", "window_dilation"):
            setattr(self, name, frozen(getattr(self, name)))

    def _options(self) -> dict:
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(kw_only=True)
class MaxPool(_WindowPool):
    """Max pooling: `jaxnets.functional.max_pool` with its options held.

    Takes the options of the function, `implementation` excepted.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.MaxPool(2)(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, ..., 0]
        Array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
    """

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`."""
        return F.max_pool(x, **self._options())


@dataclasses.dataclass(kw_only=True)
class SumPool(_WindowPool):
    """Sum pooling: `jaxnets.functional.sum_pool` with its options held.

    Takes the options of the function, `implementation` excepted.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> float(nn.SumPool(2)(jnp.ones((1, 2, 2, 1)))[0, 0, 0, 0])
        4.0
    """

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`."""
        return F.sum_pool(x, **self._options())


@dataclasses.dataclass(kw_only=True)
class AvgPool(_WindowPool):
    """Average pooling: `jaxnets.functional.avg_pool` with its options held.

    Takes the options of the function, `implementation` excepted.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> float(nn.AvgPool(2)(jnp.arange(4.0).reshape(1, 2, 2, 1))[0, 0, 0, 0])
        1.5
    """

    count_include_pad: bool = True
    divisor: int | float | None = None

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`."""
        return F.avg_pool(x, **self._options())


@dataclasses.dataclass(kw_only=True)
class _GlobalPool(nnx.Module):
    """The options that all global pools share."""

    spatial_ndim: int | None = None
    keepdims: bool = False


@dataclasses.dataclass(kw_only=True)
class GlobalMaxPool(_GlobalPool):
    """The maximum of each feature map: `jaxnets.functional.global_max_pool`.

    Takes the options of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.GlobalMaxPool()(jnp.arange(8.0).reshape(1, 2, 2, 2))
        Array([[6., 7.]], dtype=float32)
    """

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Reduce the spatial axes of `x (*batch, *spatial, C)`."""
        return F.global_max_pool(
            x, spatial_ndim=self.spatial_ndim, keepdims=self.keepdims
        )


@dataclasses.dataclass(kw_only=True)
class GlobalAvgPool(_GlobalPool):
    """The mean of each feature map: `jaxnets.functional.global_avg_pool`.

    Takes the options of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.GlobalAvgPool()(jnp.arange(8.0).reshape(1, 2, 2, 2))
        Array([[3., 4.]], dtype=float32)
    """

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Reduce the spatial axes of `x (*batch, *spatial, C)`."""
        return F.global_avg_pool(
            x, spatial_ndim=self.spatial_ndim, keepdims=self.keepdims
        )


@dataclasses.dataclass(kw_only=True)
class GlobalSumPool(_GlobalPool):
    """The sum of each feature map: `jaxnets.functional.global_sum_pool`.

    Takes the options of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.GlobalSumPool()(jnp.arange(8.0).reshape(1, 2, 2, 2))
        Array([[12., 16.]], dtype=float32)
    """

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Reduce the spatial axes of `x (*batch, *spatial, C)`."""
        return F.global_sum_pool(
            x, spatial_ndim=self.spatial_ndim, keepdims=self.keepdims
        )


class Flatten(nnx.Module):
    """Flatten all axes but the first: feature maps become one vector an example.

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
        # Not -1: an empty batch would leave the size undetermined.
        return jnp.asarray(x).reshape(x.shape[0], math.prod(x.shape[1:]))
