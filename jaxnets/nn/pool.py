"""Pooling over windows as Flax NNX modules, for use in a sequence of layers."""

from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import ClassVar

from jaxtyping import Array, Shaped

from jaxnets import functional as F
from jaxnets.arguments import list_or_none
from jaxnets.functional.shared.windows import Padding, PerAxis
from jaxnets.nn.module import Module, layer
from jaxnets.nn.options import freeze_options, options_of
from jaxnets.typing import ArrayLike


class Pool(Module):
    """What the pooling layers share: they are dataclasses and call a function.

    The fields of the subclasses are the function's options.
    """

    _function: ClassVar[Callable]

    def __post_init__(self):
        window = list_or_none(getattr(self, "window_shape", None))
        freeze_options(self, None if window is None else len(window))

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial channels"]
    ) -> Shaped[Array, "*batch_out channels"]:
        """Pool the spatial axes of `x (*batch, *spatial, C)`."""
        return type(self)._function(x, **options_of(self))


@layer
class _WindowOptions(Pool):
    """The options of all window pools."""

    window_shape: PerAxis
    _: KW_ONLY
    strides: PerAxis | None = None
    padding: Padding = "VALID"
    padding_mode: str = "zeros"
    window_dilation: PerAxis = 1
    ceil_mode: bool = False


@layer
class _WindowPool(_WindowOptions):
    """Window pools with several implementations."""

    _: KW_ONLY
    implementation: str | None = None


@layer
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


@layer
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


@layer
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
    _: KW_ONLY
    count_include_pad: bool = True
    divisor: int | float | None = None


@layer
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
    _: KW_ONLY
    p: int | float = 2.0


@layer
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


@layer
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
