"""Depthwise and separable convolutions as Flax NNX modules."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Shaped

from jaxnets import functional as F
from jaxnets.nn.options import frozen
from jaxnets.nn.parameters import (
    bias_or_none,
    cast,
    check_counts,
    held,
    parameter,
    window_of,
)
from jaxnets.typing import ArrayLike


class DepthwiseConv(nnx.Module):
    """Convolution of each channel with learned kernels of its own.

    Args:
        in_features: C, channels of the input.
        kernel_size: Window, one int for each spatial axis, such as `(3, 3)`.
        multiplier: M, kernels of each channel.
        strides: As in `jaxnets.functional.depthwise_conv`, like the options that
            follow.
        padding: Padding of the spatial axes.
        padding_mode: What stands in the padding.
        kernel_dilation: Distance of the kernel's taps.
        precision: Precision of the products.
        preferred_element_type: Dtype to sum in and return.
        use_bias: Whether a bias is added.
        kernel_init: Initialiser of the kernel, which it sees as that of a grouped
            convolution, `(*kernel_size, 1, C * M)`: the fan-in is one channel's window.
        bias_init: Initialiser of the bias.
        dtype: Dtype to compute in; None takes that of input and kernel.
        param_dtype: Dtype of kernel and bias.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        kernel: `(*kernel_size, C, M)`.
        bias: `(C * M,)`, or None.

    Raises:
        TypeError: If `kernel_size` is a single int, for the rank would be a guess, or
            a size is no int.
        ValueError: If a size is too small.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.DepthwiseConv(4, (3, 3), multiplier=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 4))).shape
        (2, 8, 8, 8)

    In Flax it is `nnx.Conv` with `feature_group_count`. It differs from Keras'
    `DepthwiseConv2D` in the number of spatial axes, padding, and the fan-in of the
    initialiser, which there counts all channels.
    """

    def __init__(
        self,
        in_features: int,
        kernel_size: int | Sequence[int],
        *,
        multiplier: int = 1,
        strides: int | Sequence[int] = 1,
        padding="SAME",
        padding_mode: str = "zeros",
        kernel_dilation: int | Sequence[int] = 1,
        precision: jax.lax.PrecisionLike = None,
        preferred_element_type=None,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        check_counts(in_features=in_features, multiplier=multiplier)
        window, features = window_of(kernel_size), in_features * multiplier
        grouped = parameter(kernel_init, (*window, 1, features), param_dtype, rngs)
        shape = (*window, in_features, multiplier)
        self.kernel = nnx.Param(grouped[...].reshape(shape))
        self.bias = bias_or_none(use_bias, bias_init, features, param_dtype, rngs)
        self.strides = frozen(strides)
        self.padding = frozen(padding)
        self.padding_mode = padding_mode
        self.kernel_dilation = frozen(kernel_dilation)
        self.precision = frozen(precision)
        self.preferred_element_type = preferred_element_type
        self.dtype = dtype

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial_features"]
    ) -> Shaped[Array, "*batch_out out"]:
        """Convolve `x (*batch, *spatial, C)` to `(*batch, *out, C * M)`."""
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], held(self.bias))
        return F.depthwise_conv(
            x,
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
            padding_mode=self.padding_mode,
            kernel_dilation=self.kernel_dilation,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
        )


class SeparableConv(nnx.Module):
    """Depthwise convolution, then a mix of the channels at each place, both learned.

    Args:
        in_features: C, channels of the input.
        out_features: F, feature maps of the output.
        kernel_size: Window of the depthwise convolution, one int for each spatial axis.
        multiplier: M, depthwise kernels of each channel.
        strides: As in `jaxnets.functional.separable_conv`, like the options that
            follow.
        padding: Padding of the spatial axes.
        padding_mode: What stands in the padding.
        kernel_dilation: Distance of the depthwise kernel's taps.
        precision: Precision of the products.
        use_bias: Whether a bias is added, at the end.
        depthwise_init: Initialiser of the depthwise kernel, which it sees as
            `(*kernel_size, 1, C * M)`: the fan-in is one channel's window.
        pointwise_init: Initialiser of the pointwise kernel.
        bias_init: Initialiser of the bias.
        dtype: Dtype to compute in; None takes that of input and kernels.
        param_dtype: Dtype of kernels and bias.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        depthwise_kernel: `(*kernel_size, C, M)`.
        pointwise_kernel: `(1, ..., 1, C * M, F)`.
        bias: `(F,)`, or None.

    Raises:
        TypeError: If `kernel_size` is a single int, for the rank would be a guess, or
            a size is no int.
        ValueError: If a size is too small.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.SeparableConv(4, 16, (3, 3), rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 4))).shape
        (2, 8, 8, 16)

    As in Keras there is one bias and nothing between the two. Flax has none.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        *,
        multiplier: int = 1,
        strides: int | Sequence[int] = 1,
        padding="SAME",
        padding_mode: str = "zeros",
        kernel_dilation: int | Sequence[int] = 1,
        precision: jax.lax.PrecisionLike = None,
        use_bias: bool = True,
        depthwise_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        pointwise_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        check_counts(
            in_features=in_features, out_features=out_features, multiplier=multiplier
        )
        window, features = window_of(kernel_size), in_features * multiplier
        grouped = parameter(depthwise_init, (*window, 1, features), param_dtype, rngs)
        shape = (*window, in_features, multiplier)
        self.depthwise_kernel = nnx.Param(grouped[...].reshape(shape))
        shape = (*(1 for _ in window), features, out_features)
        self.pointwise_kernel = parameter(pointwise_init, shape, param_dtype, rngs)
        self.bias = bias_or_none(use_bias, bias_init, out_features, param_dtype, rngs)
        self.strides = frozen(strides)
        self.padding = frozen(padding)
        self.padding_mode = padding_mode
        self.kernel_dilation = frozen(kernel_dilation)
        self.precision = frozen(precision)
        self.dtype = dtype

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial_features"]
    ) -> Shaped[Array, "*batch_out out"]:
        """Convolve `x (*batch, *spatial, C)` to `(*batch, *out, F)`."""
        kernels = self.depthwise_kernel[...], self.pointwise_kernel[...]
        return F.separable_conv(
            *cast(self.dtype, x, *kernels, held(self.bias)),
            strides=self.strides,
            padding=self.padding,
            padding_mode=self.padding_mode,
            kernel_dilation=self.kernel_dilation,
            precision=self.precision,
        )
