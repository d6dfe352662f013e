"""Pooling over windows as Flax NNX modules, for use in a sequence of layers."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar

from jaxtyping import Array, Shaped

from jaxnets import functional as F
from jaxnets.nn.module import Module
from jaxnets.nn.options import freeze_options, options_of
from jaxnets.typing import ArrayLike


class Pool(Module):
    """What the pooling layers share: they are dataclasses and call a function.

    The fields of the subclasses are the function's options.
    """

    _function: ClassVar[Callable]

    def __post_init__(self):
        freeze_options(self)

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`."""
        return type(self)._function(x, **options_of(self))


@dataclasses.dataclass(kw_only=True)
class _WindowOptions(Pool):
    """The options of all window pools."""

    window_shape: int | Sequence[int] = dataclasses.field(kw_only=False)
    strides: int | Sequence[int] | None = None
    padding: str | int | Sequence = "VALID"
    padding_mode: str = "zeros"
    window_dilation: int | Sequence[int] = 1
    ceil_mode: bool = False


@dataclasses.dataclass(kw_only=True)
class _WindowPool(_WindowOptions):
    """Window pools with several implementations."""

    implementation: str | None = None


@dataclasses.dataclass(kw_only=True)
class MaxPool(_WindowPool):
    """Max pooling: `jaxnets.functional.max_pool` as a layer.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.MaxPool(2)(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, ..., 0]
        Array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
    """

    _function = F.max_pool


@dataclasses.dataclass(kw_only=True)
class SumPool(_WindowPool):
    """Sum pooling: `jaxnets.functional.sum_pool` as a layer.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> float(nn.SumPool(2)(jnp.ones((1, 2, 2, 1)))[0, 0, 0, 0])
        4.0
    """

    _function = F.sum_pool


@dataclasses.dataclass(kw_only=True)
class AvgPool(_WindowPool):
    """Average pooling: `jaxnets.functional.avg_pool` as a layer.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> float(nn.AvgPool(2)(jnp.arange(4.0).reshape(1, 2, 2, 1))[0, 0, 0, 0])
        1.5
    """

    _function = F.avg_pool
    count_include_pad: bool = True
    divisor: int | float | None = None


@dataclasses.dataclass(kw_only=True)
class LpPool(_WindowPool):
    """Lp pooling: `jaxnets.functional.lp_pool` as a layer.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.LpPool(2)(jnp.array([[[3.0], [4.0]]])).item()
        5.0
    """

    _function = F.lp_pool
    p: int | float = 2.0


@dataclasses.dataclass(kw_only=True)
class LogSumExpPool(_WindowPool):
    """Log-sum-exp pooling: `jaxnets.functional.logsumexp_pool` as a layer.

    The options are those of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets import nn
        >>> nn.LogSumExpPool(2)(jnp.array([[[0.0], [100.0]]])).item()
        100.0
    """

    _function = F.logsumexp_pool


@dataclasses.dataclass(kw_only=True)
class MaxPoolWithIndices(_WindowOptions):
    """Max pooling with indices: `jaxnets.functional.max_pool_with_indices`.

    The options are those of the function.

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
        """Return the maxima of `x (*batch, *spatial, C)` and their indices."""
        return F.max_pool_with_indices(x, **options_of(self))
