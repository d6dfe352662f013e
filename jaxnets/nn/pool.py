"""Pooling over windows as Flax NNX modules, for use in a sequence of layers."""

import dataclasses
from collections.abc import Sequence

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
class LpPool(_WindowPool):
    """Lp pooling: `jaxnets.functional.lp_pool` with its options held.

    Takes the options of the function, `implementation` excepted.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.LpPool(2)(jnp.array([[[3.0], [4.0]]])).item()
        5.0
    """

    p: int | float = 2.0

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`."""
        return F.lp_pool(x, **self._options())


@dataclasses.dataclass(kw_only=True)
class LogSumExpPool(_WindowPool):
    """Log-sum-exp pooling: `jaxnets.functional.logsumexp_pool` with its options held.

    Takes the options of the function, `implementation` excepted.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.LogSumExpPool(2)(jnp.array([[[0.0], [100.0]]])).item()
        100.0
    """

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`."""
        return F.logsumexp_pool(x, **self._options())


@dataclasses.dataclass(kw_only=True)
class MaxPoolWithIndices(_WindowPool):
    """Max pooling and its places: `jaxnets.functional.max_pool_with_indices`.

    Takes the options of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> y, indices = nn.MaxPoolWithIndices(2)(jnp.array([[[3.0], [4.0]]]))
        >>> y.item(), indices.item()
        (4.0, 1)
    """

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> tuple[
        Shaped[Array, "*batch_out channels"], Shaped[Array, "*batch_out channels"]
    ]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`: maxima and places."""
        return F.max_pool_with_indices(x, **self._options())
