"""Depthwise convolution, and separable convolution, which mixes channels afterwards."""

import math

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, as_optional_array
from jaxnets.functional.convolution.arguments import check_bias
from jaxnets.functional.convolution.general import conv
from jaxnets.functional.shared.dtypes import promoted_dtype
from jaxnets.functional.shared.windows import Padding, PerAxis
from jaxnets.typing import ArrayLike


def depthwise_conv(
    x: Shaped[ArrayLike, "..."],
    kernel: Shaped[ArrayLike, "..."],
    bias: Shaped[ArrayLike, "..."] | None = None,
    *,
    strides: PerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    kernel_dilation: PerAxis = 1,
    precision: jax.lax.PrecisionLike = None,
    preferred_element_type: DTypeLike | None = None,
    implementation: str | None = None,
) -> Shaped[Array, "..."]:
    """Convolve each channel of `x` with its own kernels.

    With C channels and M kernels per channel, on one spatial axis:

        y[b, t, c * M + m] = bias[c * M + m] + sum over i < k of
                             x[b, s * t + d * i - low, c] * kernel[i, c, m]

    which is `conv` with as many groups as channels.

    Args:
        x: `(*batch, *spatial, C)`, with any number of batch axes.
        kernel: `(*window, C, M)`; M is the channel multiplier.
        bias: `(C * M,)`.
        strides: Distance between positions of the window. This and all other options
            are those of `conv`.
        padding: Padding of the spatial axes.
        padding_mode: Values of the padding.
        kernel_dilation: Distance between the elements of the window.
        precision: As in `jax.lax.conv_general_dilated`.
        preferred_element_type: Dtype of the sum and the result.
        implementation: As in `conv`. On CPUs None chooses "shifts" for most windows.

    Returns:
        `(*batch, *out, C * M)` in the promoted dtype of the arguments; int32 or uint32
        for integers of fewer bits.

    Raises:
        TypeError: If an option has the wrong type, or an array does not hold numbers.
        ValueError: If shapes and options are inconsistent.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import depthwise_conv
        >>> x = jnp.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
        >>> kernel = jnp.array([[[1.0], [0.0]], [[1.0], [2.0]]])
        >>> depthwise_conv(x, kernel, padding="VALID")
        Array([[ 3., 40.],
               [ 5., 60.]], dtype=float32)

    Source: Chollet 2017, "Xception: Deep Learning with Depthwise Separable
    Convolutions", section 2. Keras uses the same kernel, but has no explicit padding,
    no strides together with dilation, and a fixed number of axes. In Flax and PyTorch
    it is a convolution with groups, whose kernel is `(*window, 1, C * M)`.
    """
    x, kernel = as_array(x, "x"), as_array(kernel, "kernel")
    shape = kernel.shape
    if len(shape) < 3 or 0 in shape[:-2] or shape[-2:-1] != x.shape[-1:]:
        raise ValueError(
            f"`kernel` has shape {shape} and `x` {x.shape}; wanted (*window, C, "
            "M) with a window of 1 or more, the C channels of `x`, and M kernels per "
            "channel."
        )
    *window, channels, multiplier = shape
    # Without channels there is one empty group.
    grouped = (*window, min(channels, 1), channels * multiplier)
    return conv(
        x,
        kernel.reshape(grouped),
        bias,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        kernel_dilation=kernel_dilation,
        feature_group_count=max(channels, 1),
        precision=precision,
        preferred_element_type=preferred_element_type,
        implementation=implementation,
    )


def separable_conv(
    x: Shaped[ArrayLike, "..."],
    depthwise_kernel: Shaped[ArrayLike, "..."],
    pointwise_kernel: Shaped[ArrayLike, "..."],
    bias: Shaped[ArrayLike, "..."] | None = None,
    *,
    strides: PerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    kernel_dilation: PerAxis = 1,
    precision: jax.lax.PrecisionLike = None,
    implementation: str | None = None,
) -> Shaped[Array, "..."]:
    """Convolve each channel by itself, then mix the channels at each position.

        y = conv(depthwise_conv(x, depthwise_kernel), pointwise_kernel) + bias

    With a window of k elements a convolution from C channels to F features has
    k * C * F weights; this one has k * C * M + C * M * F.

    Args:
        x: `(*batch, *spatial, C)`, with any number of batch axes.
        depthwise_kernel: `(*window, C, M)`.
        pointwise_kernel: `(1, ..., 1, C * M, F)`, one 1 for each spatial axis.
        bias: `(F,)`, added to the result.
        strides: Strides of the depthwise convolution. This and the options that follow
            are those of `conv`.
        padding: Padding of the spatial axes.
        padding_mode: Values of the padding.
        kernel_dilation: Distance between the elements of the depthwise window.
        precision: As in `jax.lax.conv_general_dilated`, for both convolutions.
        implementation: Implementation of the depthwise convolution, as in
            `depthwise_conv`.

    Returns:
        `(*batch, *out, F)` in the promoted dtype of the arguments; int32 or uint32 for
        integers of fewer bits.

    Raises:
        TypeError: If an option has the wrong type, or an array does not hold numbers.
        ValueError: If shapes and options are inconsistent.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import separable_conv
        >>> x = jnp.ones((2, 8, 8, 3))
        >>> separable_conv(x, jnp.ones((3, 3, 3, 2)), jnp.ones((1, 1, 6, 4))).shape
        (2, 8, 8, 4)

    Source: Chollet 2017, "Xception: Deep Learning with Depthwise Separable
    Convolutions", section 2. As in Keras there is no activation between the two. Flax
    and PyTorch have no such function.
    """
    x, bias = as_array(x, "x"), as_optional_array(bias, "bias")
    depthwise_kernel = as_array(depthwise_kernel, "depthwise_kernel")
    pointwise_kernel = as_array(pointwise_kernel, "pointwise_kernel")
    shape, depthwise = pointwise_kernel.shape, depthwise_kernel.shape
    wanted = (1,) * (len(depthwise) - 2)
    if shape[:-2] != wanted or shape[-2:-1] != (math.prod(depthwise[-2:]),):
        raise ValueError(
            f"`pointwise_kernel` has shape {shape} and `depthwise_kernel` {depthwise}; "
            "wanted (1, ..., 1, C * M, features), with a 1 for each spatial axis and "
            "the C * M features of `depthwise_kernel`, of shape (*window, C, M)."
        )
    check_bias(bias, shape[-1])
    dtype = promoted_dtype(x, depthwise_kernel, pointwise_kernel, bias)
    features = depthwise_conv(
        x.astype(dtype),
        depthwise_kernel,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        kernel_dilation=kernel_dilation,
        precision=precision,
        implementation=implementation,
    )
    return conv(features, pointwise_kernel, bias, precision=precision)
