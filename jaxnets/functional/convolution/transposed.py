"""Transposed convolution: the exact transpose of `conv`, over any number of axes."""

from collections.abc import Sequence

import jax
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, as_optional_array
from jaxnets.choices import Candidate, Chosen, choose, run_chosen
from jaxnets.functional.convolution.arguments import (
    check_channels,
    check_kernel,
    checked_precision,
    run_on_mesh,
)
from jaxnets.functional.convolution.implementations.transposed import (
    TransposeOptions,
    conv_transpose_by_lax,
    conv_transpose_by_library,
    conv_transpose_by_phases,
)
from jaxnets.functional.shared.bias import add_bias
from jaxnets.functional.shared.dtypes import promoted_dtype, sum_dtype
from jaxnets.functional.shared.sharding import match_varying_axes
from jaxnets.functional.shared.sizes import Size
from jaxnets.functional.shared.windows import (
    Padding,
    PerAxis,
    flatten_batch,
    padding_pairs,
    per_axis,
    restore_batch,
)
from jaxnets.typing import ArrayLike


_IMPLEMENTATIONS = {
    "phases": conv_transpose_by_phases,
    "library": conv_transpose_by_library,
    "lax": conv_transpose_by_lax,
}


def conv_transpose(
    x: Shaped[ArrayLike, "..."],
    kernel: Shaped[ArrayLike, "..."],
    bias: Shaped[ArrayLike, "..."] | None = None,
    *,
    strides: PerAxis = 1,
    padding: Padding = "SAME",
    output_padding: PerAxis = 0,
    kernel_dilation: PerAxis = 1,
    feature_group_count: int = 1,
    precision: jax.lax.PrecisionLike = None,
    implementation: str | None = None,
) -> Shaped[Array, "..."]:
    """Transpose a convolution: add a multiple of the kernel for each element of `x`.

    On one spatial axis, with stride s, dilation d, padding `low` and window k:

        y[b, p, o] = bias[o] + sum over t, c and i < k with s * t + d * i - low == p of
                     x[b, t, c] * kernel[i, c, o]

    and likewise on every further axis. Let `kernel_t` be the kernel with its last two
    axes swapped (with groups, in each group). Then it is the transpose of `conv` with
    the same options:

        sum(conv(a, kernel_t) * x) == sum(a * conv_transpose(x, kernel))

    The number of spatial axes is `kernel.ndim - 2`. `padding` is the zero padding of
    the convolution that is transposed, so here it makes the output smaller.

    Args:
        x: `(*batch, *spatial, channels)`, with any number of batch axes.
        kernel: `(*window, channels // feature_group_count, features)`.
        bias: `(features,)`.
        strides: Distance between the windows of neighbouring elements: an int, or one
            per axis.
        padding: "SAME" or "SAME_LOWER" (an output of `n * s`: the transpose of that
            convolution), "VALID" (the whole output, `(n - 1) * s + d * (k - 1) + 1`),
            or an int, or an int or `(low, high)` per axis, for the numbers of elements
            that are cropped.
        output_padding: Number of elements by which the output is larger at the high end
            of each axis, of any size. They are the elements that `padding` would crop,
            or zeros.
        kernel_dilation: Distance between the elements of the window.
        feature_group_count: Number of groups. Channels and features are split into
            groups, in order, and each group of features depends on its own group of
            channels.
        precision: As in `jax.lax.conv_general_dilated`.
        implementation: "phases" computes the elements of all phases `p % s` as features
            of one ordinary convolution. "library" uses XLA's transposed convolution,
            and ordinary convolutions for its gradients. "lax" is the same with JAX's
            own derivative. None chooses: on CPUs "phases" where it adds no zeros to the
            kernel or XLA's library has no transposed convolution, otherwise "library";
            on GPUs "library", and on TPUs "lax".

    Returns:
        `(*batch, *out, features)` in the promoted dtype of the arguments. 16-bit floats
        are summed in float32 and rounded once, before the bias is added. The sum of
        integers of fewer than 32 bits, such as int8, has the dtype int32 or uint32.

    Raises:
        TypeError: If an option has the wrong type, or an array does not hold numbers.
        ValueError: If shapes and options are inconsistent, or the output would be
            empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import conv_transpose
        >>> x = jnp.array([1.0, 10.0, 100.0])[:, None]
        >>> kernel = jnp.array([1.0, 2.0, 3.0])[:, None, None]
        >>> conv_transpose(x, kernel, strides=2, padding="VALID").ravel()
        Array([  1.,   2.,  13.,  20., 130., 200., 300.], dtype=float32)
        >>> images = jnp.ones((2, 8, 8, 16))
        >>> conv_transpose(images, jnp.ones((4, 4, 16, 3)), strides=2).shape
        (2, 16, 16, 3)

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
    2016, chapter 4. Flax and `jax.lax.conv_transpose` by default do not flip the
    kernel, so that they are not the transpose of a convolution; they have no groups and
    an int `padding` pads the dilated input. PyTorch has another layout of the kernel,
    no "SAME", no one-sided padding, and a bound on `output_padding`. Keras has no
    groups, no explicit padding and no strides together with dilation.
    """
    x, kernel = as_array(x, "x"), as_array(kernel, "kernel")
    bias = as_optional_array(bias, "bias")
    dtype = sum_dtype(promoted_dtype(x, kernel, bias))
    check_kernel(kernel, bias, feature_group_count)
    window = kernel.shape[:-2]
    ndim = len(window)
    x, batch = flatten_batch(x, ndim, "x")
    check_channels(x, kernel, feature_group_count)
    strides = per_axis(strides, ndim, "strides")
    dilation = per_axis(kernel_dilation, ndim, "kernel_dilation")
    extra = per_axis(output_padding, ndim, "output_padding", minimum=0)
    low, out = _crop(x.shape[1:-1], window, strides, padding, dilation, extra)
    groups, precision = int(feature_group_count), checked_precision(precision)
    options = TransposeOptions(strides, low, out, dilation, groups, precision)
    arrays = match_varying_axes(x.astype(dtype), kernel.astype(dtype))

    def run(name: str) -> Array:
        transpose_by = _IMPLEMENTATIONS[name]
        return run_on_mesh(lambda x, w: transpose_by(x, w, options), name, *arrays)

    y = run_chosen(_choose(implementation, window, options), run)
    return restore_batch(add_bias(y, bias), batch)


def _crop(
    sizes: Sequence[Size],
    window: Sequence[Size],
    strides: Sequence[Size],
    padding: Padding,
    dilation: Sequence[Size],
    extra: Sequence[Size],
) -> tuple[tuple[Size, ...], tuple[Size, ...]]:
    """Return, for each axis, how many elements are cropped at its start and remain."""
    if isinstance(padding, str) and padding == "CAUSAL":
        raise ValueError(
            "`padding` is 'CAUSAL', whose transpose is not causal; wanted 'SAME', "
            "'SAME_LOWER', 'VALID' or explicit padding. Pass (low, high) pairs."
        )
    reaches = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    scaled = [n * s for n, s in zip(sizes, strides, strict=True)]
    pairs = padding_pairs(
        padding, sizes=scaled, window=window, strides=strides, dilation=dilation
    )
    low = tuple(pair[0] for pair in pairs)
    if isinstance(padding, str) and padding.startswith("SAME"):
        out = [n + more for n, more in zip(scaled, extra, strict=True)]
    else:
        out = [
            n - s + reach - sum(pair) + more
            for n, s, reach, pair, more in zip(
                scaled, strides, reaches, pairs, extra, strict=True
            )
        ]
    for axis, size in enumerate(out):
        if size < 1:
            raise ValueError(
                f"The output would have {size} elements on spatial axis {axis}, where "
                f"`x` has {sizes[axis]}; wanted 1 or more. Use less `padding`, more "
                "`output_padding` or a larger input."
            )
    return low, tuple(out)


def _choose(
    implementation: str | None, window: Sequence[Size], options: TransposeOptions
) -> Chosen:
    """Return the implementation that runs on each platform, of `_IMPLEMENTATIONS`."""
    # In these cases XLA's library for CPUs supports a dilated input.
    library_on_cpu = len(window) < 3 and options.groups == 1
    adds_no_zeros = all(
        s == 1 or (d == 1 and (k % s == 0 or k < s))
        for k, s, d in zip(window, options.strides, options.dilation, strict=True)
    )

    def candidates(platform: str) -> list[Candidate]:
        against_phases = None
        if platform != "cpu":
            against_phases = "on accelerators XLA's own transposed convolution is used"
        elif not adds_no_zeros and library_on_cpu:
            against_phases = (
                "the window is not a multiple of the strides, and would be filled with "
                "zeros"
            )
        against_library = against_lax = None
        if platform == "tpu":
            against_library = (
                "its gradients move more bytes than those of 'lax' on TPUs"
            )
        else:
            against_lax = (
                "its gradient of the kernel has a dilated window, which XLA's "
                "libraries do not support"
            )
        return [
            Candidate("phases", against_phases),
            Candidate("library", against_library),
            Candidate("lax", against_lax),
        ]

    return choose("conv_transpose", implementation, candidates)
