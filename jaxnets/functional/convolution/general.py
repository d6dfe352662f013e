"""Convolution over any number of spatial axes."""

from collections.abc import Sequence

import jax
from jax.core import max_dim
from jax.typing import DTypeLike
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, as_optional_array
from jaxnets.choices import run_chosen
from jaxnets.functional.convolution.arguments import (
    check_channels,
    check_kernel,
    checked_precision,
    checked_result_dtype,
    run_on_mesh,
)
from jaxnets.functional.convolution.choice import (
    CONV_IMPLEMENTATIONS,
    choose_conv,
)
from jaxnets.functional.convolution.implementations.lax import ConvOptions, dilated
from jaxnets.functional.shared.bias import add_bias
from jaxnets.functional.shared.dtypes import promoted_dtype, whole_byte_dtype
from jaxnets.functional.shared.sharding import match_varying_axes
from jaxnets.functional.shared.sizes import Size
from jaxnets.functional.shared.windows import (
    Padding,
    PerAxis,
    check_padding_mode,
    flatten_batch,
    output_sizes,
    padded,
    padding_pairs,
    per_axis,
    restore_batch,
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
    """Convolve `x` with `kernel`; as usual in deep learning the kernel is not flipped.

    On one spatial axis, with stride s, dilation d, padding `low`, window k and the
    padded input x:

        y[b, t, o] = bias[o] + sum over i < k and c of
                     x[b, s * t + d * i - low, c] * kernel[i, c, o]

    and likewise on every further axis. The number of spatial axes is
    `kernel.ndim - 2`.

    Args:
        x: `(*batch, *spatial, channels)`, with any number of batch axes.
        kernel: `(*window, channels // feature_group_count, features)`.
        bias: `(features,)`.
        strides: Distance between positions of the window: an int, or one per axis.
        padding: "SAME" (an output of `ceil(n / s)`; if the number of padding elements
            is odd, the high end gets one more), "SAME_LOWER" (the low end gets one
            more), "VALID" (no padding), "CAUSAL" (one spatial axis; no output depends
            on a later input), an int, or an int or `(low, high)` per axis.
        padding_mode: Values of the padding: "zeros", "reflect" (mirrored without the
            edge), "symmetric" (mirrored with the edge), "replicate" (the edge) or
            "circular" (wrapped around from the other end).
        input_dilation: Distance between elements of `x`, with zeros between them. The
            padding is added to the dilated input and takes its values from it.
        kernel_dilation: Distance between the elements of the window.
        feature_group_count: Number of groups. Channels and features are split into
            groups, in order, and each group of features depends on its own group of
            channels.
        precision: As in `jax.lax.conv_general_dilated`: None, a name such as
            "highest", a `jax.lax.Precision`, a pair of these, or a
            `jax.lax.DotAlgorithmPreset`.
        preferred_element_type: Dtype of the sum and the result, at least as wide as the
            promoted dtype of the arguments. None is the promoted dtype, or 32 bits if
            these are integers of fewer bits. With int8 given for int8 arguments the sum
            wraps around.
        implementation: "lax" is JAX's convolution with JAX's derivative. "library"
            writes both gradients in the layout that XLA's convolution library for CPUs
            supports inside loops too. "product" (windows of one element), "shifts"
            (depthwise), "blocks" (grouped) and "planes" (three spatial axes) compute
            the same sum by other operations. None chooses; `jaxnets.plan` says which
            one runs and why.

    Returns:
        `(*batch, *out, features)` in the promoted dtype of the arguments. 16-bit floats
        are summed in float32 and rounded once, before the bias is added. The sum of
        integers of fewer than 32 bits, such as int8, has the dtype int32 or uint32.

    Raises:
        TypeError: If an option has the wrong type, or an array does not hold numbers.
        ValueError: If shapes and options are inconsistent.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import conv
        >>> x = jnp.arange(5.0)[:, None]
        >>> difference = jnp.array([-1.0, 1.0])[:, None, None]
        >>> conv(x ** 2, difference, padding="VALID").ravel()
        Array([1., 3., 5., 7.], dtype=float32)
        >>> images = jnp.ones((2, 3, 8, 8, 4))  # two batch axes
        >>> conv(images, jnp.ones((3, 3, 4, 16)), strides=2).shape
        (2, 3, 4, 4, 16)

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
    2016, for the geometry. Unlike in Flax, every `padding_mode` can be combined with
    every `padding`, and "circular" and "reflect" pad as "SAME" does. Unlike in PyTorch,
    arrays are channels last, low and high padding may differ, and "SAME" allows
    strides. Unlike in Keras, strides and dilation may both exceed one.
    """
    x, kernel = as_array(x, "x"), as_array(kernel, "kernel")
    bias = as_optional_array(bias, "bias")
    dtype = promoted_dtype(x, kernel, bias)
    result_dtype = checked_result_dtype(preferred_element_type, dtype)
    check_kernel(kernel, bias, feature_group_count)
    window = kernel.shape[:-2]
    ndim = len(window)
    x, batch = flatten_batch(x, ndim, "x")
    check_channels(x, kernel, feature_group_count)
    strides = per_axis(strides, ndim, "strides")
    kernel_dilation = per_axis(kernel_dilation, ndim, "kernel_dilation")
    input_dilation = per_axis(input_dilation, ndim, "input_dilation")
    sizes = _dilated_sizes(x.shape[1:-1], input_dilation)
    pairs = padding_pairs(
        padding, sizes=sizes, window=window, strides=strides, dilation=kernel_dilation
    )
    output_sizes(sizes, pairs, window, strides, kernel_dilation)
    check_padding_mode(padding_mode)
    if padding_mode != "zeros" and any(map(any, pairs)):
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
    if result_dtype not in (None, dtype):
        dtype = whole_byte_dtype(dtype)
    arrays = match_varying_axes(x.astype(dtype), kernel.astype(dtype))

    def run(name: str) -> Array:
        conv_by = CONV_IMPLEMENTATIONS[name]
        return run_on_mesh(lambda x, w: conv_by(x, w, options), name, *arrays)

    y = run_chosen(choose_conv(implementation, arrays[1], options), run)
    return restore_batch(add_bias(y, bias), batch)


def _dilated_sizes(sizes: Sequence[Size], dilation: Sequence[Size]) -> tuple[Size, ...]:
    pairs = zip(sizes, dilation, strict=True)
    return tuple(max_dim((n - 1) * d + 1, 0) for n, d in pairs)
