"""JAX's convolution, kept from the programs that XLA cannot compile."""

from typing import Any

import jax
from jax.lax import ConvDimensionNumbers
from jaxtyping import Array, Num

from jaxnets.functional.windows import Pairs


def convolve(
    x: Num[Array, "..."],
    kernel: Num[Array, "..."],
    *,
    strides: tuple[int, ...],
    pairs: Pairs,
    input_dilation: tuple[int, ...],
    kernel_dilation: tuple[int, ...],
    groups: int,
    layout: ConvDimensionNumbers,
    **options: Any,
) -> Num[Array, "..."]:
    """Return `jax.lax.conv_general_dilated`, whatever its sizes.

    XLA exchanges an image with a window that is larger. There it takes an axis with
    window k, k - 1 gaps, stride k - 1 and no padding for one that stands for k groups,
    also where its size is another, and ends the process with "Window dimensions do not
    match RHS shape" (JAX 0.11 and 0.12). So such an axis is padded for one place more,
    which is cut off again.

    Args:
        x: Where `layout` says.
        kernel: Where `layout` says.
        strides: As in `ConvOptions`, like the next four.
        pairs: Zeros around the dilated input.
        input_dilation: One more than the zeros between inputs.
        kernel_dilation: One more than the zeros between kernel elements.
        groups: Number of feature groups.
        layout: Which axis is which.
        **options: Further ones of the primitive.
    """
    sizes = [x.shape[axis] for axis in layout.lhs_spec[2:]]
    window = [kernel.shape[axis] for axis in layout.rhs_spec[2:]]
    exchanged = groups == 1 and any(k > n for k, n in zip(window, sizes, strict=True))
    steps = zip(strides, pairs, input_dilation, kernel_dilation, strict=True)
    misread = [
        exchanged and n != k and step == (k - 1, (0, 0), k, 1)
        for n, k, step in zip(sizes, window, steps, strict=True)
    ]
    axes = zip(pairs, strides, misread, strict=True)
    y = jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=[(low, high + stride * more) for (low, high), stride, more in axes],
        lhs_dilation=input_dilation,
        rhs_dilation=kernel_dilation,
        dimension_numbers=layout,
        feature_group_count=groups,
        **options,
    )
    for axis, more in zip(layout.out_spec[2:], misread, strict=True):
        if more:
            y = jax.lax.slice_in_dim(y, 0, y.shape[axis] - 1, axis=axis)
    return y
