"""Depthwise and separable convolutions as Flax NNX modules."""

from dataclasses import KW_ONLY, InitVar
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers

from jaxnets import functional as F
from jaxnets.functional.shared.windows import Padding, PerAxis
from jaxnets.nn.convolution import Convolution
from jaxnets.nn.module import layer
from jaxnets.nn.options import freeze_options
from jaxnets.nn.parameters import (
    bias_or_none,
    check_counts,
    parameter,
    window_of,
)


@layer
class DepthwiseConv(Convolution):
    """Convolution of each channel with learned kernels of its own.

    `multiplier` is M, the number of kernels of each channel. The options are those
    of `jaxnets.functional.depthwise_conv`; the other arguments and the errors are those
    of `Conv`. `kernel_init` gets the shape `(*kernel_size, 1, C * M)` of a grouped
    convolution, so the fan-in is one channel's window.

    Attributes:
        kernel: `(*kernel_size, C, M)`.
        bias: `(C * M,)`, or None.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.DepthwiseConv(4, (3, 3), multiplier=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 4))).shape
        (2, 8, 8, 8)

    In Flax it is `nnx.Conv` with `feature_group_count`. It differs from Keras'
    `DepthwiseConv2D` in the number of spatial axes, in padding, and in the fan-in,
    which there counts all channels.
    """

    _function = F.depthwise_conv
    in_features: InitVar[int]
    kernel_size: InitVar[PerAxis]
    _: KW_ONLY
    multiplier: InitVar[int] = 1
    strides: PerAxis = 1
    padding: Padding = "SAME"
    padding_mode: str = "zeros"
    kernel_dilation: PerAxis = 1
    precision: jax.lax.PrecisionLike = None
    preferred_element_type: Any = None
    implementation: str | None = None
    use_bias: InitVar[bool] = True
    kernel_init: InitVar[nnx.Initializer] = initializers.lecun_normal()
    bias_init: InitVar[nnx.Initializer] = initializers.zeros_init()
    dtype: Any = None
    param_dtype: InitVar[Any] = jnp.float32
    rngs: InitVar[nnx.Rngs]

    def __post_init__(self, in_features, kernel_size, multiplier, *others):
        check_counts(in_features=in_features, multiplier=multiplier)
        use_bias, kernel_init, bias_init, dtype, rngs = others
        window, features = window_of(kernel_size), in_features * multiplier
        freeze_options(self, len(window))
        self.kernel = parameter(
            "kernel_init",
            kernel_init,
            (*window, 1, features),
            dtype,
            rngs,
            stored_as=(*window, in_features, multiplier),
        )
        self.bias = bias_or_none(use_bias, bias_init, features, dtype, rngs)


@layer
class SeparableConv(Convolution):
    """Depthwise convolution, then a mix of the channels at each position, both learned.

    `multiplier` is M, the number of depthwise kernels of each channel. The options
    are those of `jaxnets.functional.separable_conv`; the other arguments and the errors
    are those of `Conv`, with an initialiser for each of the two kernels.
    `depthwise_init` gets the shape `(*kernel_size, 1, C * M)`, so the fan-in is one
    channel's window.

    Attributes:
        depthwise_kernel: `(*kernel_size, C, M)`.
        pointwise_kernel: `(1, ..., 1, C * M, C_out)`.
        bias: `(C_out,)`, or None.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.SeparableConv(4, 16, (3, 3), rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 4))).shape
        (2, 8, 8, 16)

    As in Keras there is one bias, at the end, and no activation between the two. Flax
    has no such layer.
    """

    _function = F.separable_conv
    _kernels = ("depthwise_kernel", "pointwise_kernel")
    in_features: InitVar[int]
    out_features: InitVar[int]
    kernel_size: InitVar[PerAxis]
    _: KW_ONLY
    multiplier: InitVar[int] = 1
    strides: PerAxis = 1
    padding: Padding = "SAME"
    padding_mode: str = "zeros"
    kernel_dilation: PerAxis = 1
    precision: jax.lax.PrecisionLike = None
    implementation: str | None = None
    use_bias: InitVar[bool] = True
    depthwise_init: InitVar[nnx.Initializer] = initializers.lecun_normal()
    pointwise_init: InitVar[nnx.Initializer] = initializers.lecun_normal()
    bias_init: InitVar[nnx.Initializer] = initializers.zeros_init()
    dtype: Any = None
    param_dtype: InitVar[Any] = jnp.float32
    rngs: InitVar[nnx.Rngs]

    def __post_init__(
        self, in_features, out_features, kernel_size, multiplier, use_bias, *others
    ):
        depthwise_init, pointwise_init, bias_init, dtype, rngs = others
        check_counts(
            in_features=in_features, out_features=out_features, multiplier=multiplier
        )
        window, features = window_of(kernel_size), in_features * multiplier
        freeze_options(self, len(window))
        self.depthwise_kernel = parameter(
            "depthwise_init",
            depthwise_init,
            (*window, 1, features),
            dtype,
            rngs,
            stored_as=(*window, in_features, multiplier),
        )
        shape = (*(1 for _ in window), features, out_features)
        self.pointwise_kernel = parameter(
            "pointwise_init", pointwise_init, shape, dtype, rngs
        )
        self.bias = bias_or_none(use_bias, bias_init, out_features, dtype, rngs)
