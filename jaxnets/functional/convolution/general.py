"""Convolution over any number of spatial axes, with every option."""

from collections.abc import Sequence

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Shaped

from jaxnets.functional.convolution.arguments import (
    check_channels,
    check_kernel,
    checked_precision,
    checked_result_dtype,
    plus_bias,
)
from jaxnets.functional.convolution.choice import (
    CONV_IMPLEMENTATIONS,
    choose_conv,
)
from jaxnets.functional.convolution.implementations.lax import ConvOptions, dilated
from jaxnets.functional.shared.arguments import as_array, as_optional_array
from jaxnets.functional.shared.dtypes import promoted_dtype
from jaxnets.functional.shared.windows import (
    Padding,
    PerAxis,
    fold_batch,
    output_sizes,
    padded,
    padding_pairs,
    per_axis,
    unfold_batch,
)
from jaxnets.typing import ArrayLike


def conv(
    x: Shaped[ArrayLike, "..."],
    kernel: Shaped[ArrayLike, "..."],
    bias: Shaped[ArrayLike, "..."] | None = None,
    *,
    strides: PerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: PerAxis = 1,
    kernel_dilation: PerAxis = 1,
    feature_group_count: int = 1,
    precision: jax.lax.PrecisionLike = None,
    preferred_element_type: DTypeLike | None = None,
    implementation: str | None = None,
) -> Shaped[Array, "..."]:
    """Convolve `x` with `kernel`, as the field does: without flipping the kernel.

    On one spatial axis, with stride s, dilation d, padding `low`, window k and the
    padded input x:

        y[b, t, o] = bias[o] + sum over i < k and c of
                     x[b, s * t + d * i - low, c] * kernel[i, c, o]

    and the same along every further axis. The number of spatial axes is
    `kernel.ndim - 2`.

    Args:
        x: `(*batch, *spatial, channels)`; any number of batch axes, also none.
        kernel: `(*window, channels // feature_group_count, features)`.
        bias: `(features,)`.
        strides: Steps of the window, an int or one per spatial axis.
        padding: "SAME" (output of `ceil(n / s)`, the odd element high), "SAME_LOWER"
            (the odd element low), "VALID" (none), "CAUSAL" (one spatial axis; no
            output sees a later input), an int, or per axis an int or `(low, high)`.
        padding_mode: What the padding holds: "zeros", "reflect" (mirrored without the
            edge), "symmetric" (mirrored with the edge), "replicate" (the edge) or
            "circular" (the other end).
        input_dilation: One more than the zeros put between elements of `x`. Padding
            counts in, and takes its values from, the dilated input.
        kernel_dilation: One more than the zeros put between elements of `kernel`.
        feature_group_count: Number of groups that channels and features are split
            into, in order; each group of features sees its own group of channels.
        precision: As in `jax.lax.conv_general_dilated`: None, a name such as
            "highest", a `jax.lax.Precision`, a pair of these, or a
            `jax.lax.DotAlgorithmPreset`.
        preferred_element_type: Dtype to sum in and return, for example int32 for int8
            arguments. It is no narrower than their promoted dtype, which is what None
            returns.
        implementation: "lax" is JAX's convolution with JAX's derivative; "library" lays
            both gradients out so that they run in the convolution library also inside
            loops on CPU; "product" (windows of one place), "taps" (depthwise), "blocks"
            (grouped) and "planes" (three spatial axes) rewrite the sum. None chooses:
            `jaxnets.plan` says what and why.

    Returns:
        `(*batch, *places, features)` in the promoted dtype of the arguments; sums of
        16-bit numbers are accumulated in float32 and rounded once, before the bias.

    Raises:
        TypeError: If an option has the wrong type, or an array holds no numbers.
        ValueError: If shapes and options do not fit together.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.arange(5.0)[:, None]
        >>> difference = jnp.array([-1.0, 1.0])[:, None, None]
        >>> conv(x ** 2, difference, padding="VALID").ravel()
        Array([1., 3., 5., 7.], dtype=float32)
        >>> images = jnp.ones((2, 3, 8, 8, 4))  # two batch axes
        >>> conv(images, jnp.ones((3, 3, 4, 16)), strides=2).shape
        (2, 3, 4, 4, 16)

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
    2016, for the geometry. It differs from Flax in that non-zero padding goes with any
    padding, and circular and reflect have the geometry of SAME; from PyTorch in that
    arrays are channels last, low and high padding may differ and "SAME" takes strides;
    from Keras in that strides and dilation may both exceed one.
    """
    x, kernel = as_array(x, "x"), as_array(kernel, "kernel")
    bias = as_optional_array(bias, "bias")
    dtype = promoted_dtype(x, kernel, bias)
    result_dtype = checked_result_dtype(preferred_element_type, dtype)
    check_kernel(kernel, bias, feature_group_count)
    window = kernel.shape[:-2]
    ndim = len(window)
    x, batch = fold_batch(x, ndim, "x")
    check_channels(x, kernel, feature_group_count)
    strides = per_axis(strides, ndim, "strides")
    kernel_dilation = per_axis(kernel_dilation, ndim, "kernel_dilation")
    input_dilation = per_axis(input_dilation, ndim, "input_dilation")
    sizes = _dilated_sizes(x.shape[1:-1], input_dilation)
    pairs = padding_pairs(
        padding, sizes=sizes, window=window, strides=strides, dilation=kernel_dilation
    )
    output_sizes(sizes, pairs, window, strides, kernel_dilation)
    if padding_mode != "zeros":
        x = padded(dilated(x, input_dilation), pairs, padding_mode)
        input_dilation, pairs = (1,) * ndim, ((0, 0),) * ndim
    options = ConvOptions(
        strides,
        pairs,
        input_dilation,
        kernel_dilation,
        int(feature_group_count),
        checked_precision(precision),
        result_dtype,
    )
    kernel = kernel.astype(dtype)
    sum_windows = CONV_IMPLEMENTATIONS[choose_conv(implementation, kernel, options)]
    y = sum_windows(x.astype(dtype), kernel, options)
    return unfold_batch(plus_bias(y, bias), batch)


def _dilated_sizes(sizes: Sequence[int], gaps: Sequence[int]) -> tuple[int, ...]:
    return tuple(max((n - 1) * d + 1, 0) for n, d in zip(sizes, gaps, strict=True))
