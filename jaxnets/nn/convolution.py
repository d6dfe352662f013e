"""Convolutions as Flax NNX modules: they hold the kernel and call `functional`."""

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
    check_groups,
    held,
    parameter,
    window_of,
)
from jaxnets.typing import ArrayLike


class Conv(nnx.Module):
    """Convolution with a learned kernel and bias: `y = conv(x, kernel) + bias`.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, feature maps of the output.
        kernel_size: Window, one int for each spatial axis, such as `(3, 3)`.
        strides: As in `jaxnets.functional.conv`, like the options that follow.
        padding: Padding of the spatial axes.
        padding_mode: What stands in the padding.
        input_dilation: Distance of the input's elements.
        kernel_dilation: Distance of the kernel's taps.
        feature_group_count: Groups of channels that do not mix.
        precision: Precision of the products.
        preferred_element_type: Dtype to sum in and return.
        use_bias: Whether a bias is added.
        kernel_init: Initialiser of the kernel; LeCun et al. 1998, variance 1/fan_in.
        bias_init: Initialiser of the bias.
        dtype: Dtype to compute in; None takes that of input and kernel.
        param_dtype: Dtype of kernel and bias.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        kernel: `(*kernel_size, C_in // groups, C_out)`.
        bias: `(C_out,)`, or None.

    Raises:
        TypeError: If `kernel_size` is a single int, for the rank would be a guess, or
            a size is no int.
        ValueError: If the channels do not divide into the groups, or a size is too
            small.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 1))).shape
        (2, 8, 8, 4)

    It differs from `flax.nnx.Conv`, where an int means one spatial axis and then takes
    an image for a batch of sequences, and has the padding modes as an own argument.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        *,
        strides: int | Sequence[int] = 1,
        padding="SAME",
        padding_mode: str = "zeros",
        input_dilation: int | Sequence[int] = 1,
        kernel_dilation: int | Sequence[int] = 1,
        feature_group_count: int = 1,
        precision: jax.lax.PrecisionLike = None,
        preferred_element_type=None,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        groups = feature_group_count
        check_groups(groups, in_features, out_features)
        shape = (*window_of(kernel_size), in_features // groups, out_features)
        self.kernel = parameter(kernel_init, shape, param_dtype, rngs)
        self.bias = bias_or_none(use_bias, bias_init, out_features, param_dtype, rngs)
        self.strides = frozen(strides)
        self.padding = frozen(padding)
        self.padding_mode = padding_mode
        self.input_dilation = frozen(input_dilation)
        self.kernel_dilation = frozen(kernel_dilation)
        self.feature_group_count = groups
        self.precision = frozen(precision)
        self.preferred_element_type = preferred_element_type
        self.dtype = dtype

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial_features"]
    ) -> Shaped[Array, "*batch_out out"]:
        """Convolve `x (*batch, *spatial, C_in)` to `(*batch, *out, C_out)`."""
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], held(self.bias))
        return F.conv(
            x,
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
            padding_mode=self.padding_mode,
            input_dilation=self.input_dilation,
            kernel_dilation=self.kernel_dilation,
            feature_group_count=self.feature_group_count,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
        )


class ConvTranspose(nnx.Module):
    """Transposed convolution with a learned kernel: `conv_transpose(x, kernel) + bias`.

    It undoes the change of shape of a convolution with the same options, and so is
    how networks make images larger.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, feature maps of the output.
        kernel_size: Window, one int for each spatial axis, such as `(4, 4)`.
        strides: How many times larger the output is, with padding "SAME"; as in
            `jaxnets.functional.conv_transpose`, like the options that follow.
        padding: What is cut off.
        output_padding: Elements that the output has more at the high end.
        kernel_dilation: Distance of the kernel's taps.
        feature_group_count: Groups of channels that do not mix.
        precision: Precision of the products.
        use_bias: Whether a bias is added.
        kernel_init: Initialiser of the kernel; variance 1/fan_in, where the fan-in is
            that of the kernel's shape, whatever the strides.
        bias_init: Initialiser of the bias.
        dtype: Dtype to compute in; None takes that of input and kernel.
        param_dtype: Dtype of kernel and bias.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        kernel: `(*kernel_size, C_in // groups, C_out)`.
        bias: `(C_out,)`, or None.

    Raises:
        TypeError: If `kernel_size` is a single int, for the rank would be a guess, or
            a size is no int.
        ValueError: If the channels do not divide into the groups, or a size is too
            small.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.ConvTranspose(8, 3, (4, 4), strides=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 8))).shape
        (2, 16, 16, 3)

    It differs from `flax.nnx.ConvTranspose` as the functions do: the kernel is flipped,
    there are groups and `output_padding`, and explicit padding is what is cut off.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        *,
        strides: int | Sequence[int] = 1,
        padding="SAME",
        output_padding: int | Sequence[int] = 0,
        kernel_dilation: int | Sequence[int] = 1,
        feature_group_count: int = 1,
        precision: jax.lax.PrecisionLike = None,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        groups = feature_group_count
        check_groups(groups, in_features, out_features)
        shape = (*window_of(kernel_size), in_features // groups, out_features)
        self.kernel = parameter(kernel_init, shape, param_dtype, rngs)
        self.bias = bias_or_none(use_bias, bias_init, out_features, param_dtype, rngs)
        self.strides = frozen(strides)
        self.padding = frozen(padding)
        self.output_padding = frozen(output_padding)
        self.kernel_dilation = frozen(kernel_dilation)
        self.feature_group_count = groups
        self.precision = frozen(precision)
        self.dtype = dtype

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial_features"]
    ) -> Shaped[Array, "*batch_out out"]:
        """Transform `x (*batch, *spatial, C_in)` to `(*batch, *out, C_out)`."""
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], held(self.bias))
        return F.conv_transpose(
            x,
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
            output_padding=self.output_padding,
            kernel_dilation=self.kernel_dilation,
            feature_group_count=self.feature_group_count,
            precision=self.precision,
        )
