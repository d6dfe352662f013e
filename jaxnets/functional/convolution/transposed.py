"""Transposed convolution: the exact transpose of `conv`, over any number of axes."""

from collections.abc import Sequence

import jax
from jaxtyping import Array, Shaped

from jaxnets.choices import Candidate, choose
from jaxnets.functional.convolution.arguments import (
    check_channels,
    check_kernel,
    checked_precision,
    plus_bias,
)
from jaxnets.functional.convolution.implementations.transposed import (
    TransposeOptions,
    sum_by_lax,
    sum_by_library,
    sum_by_phases,
)
from jaxnets.functional.shared.arguments import as_array, as_optional_array
from jaxnets.functional.shared.dtypes import promoted_dtype
from jaxnets.functional.shared.windows import (
    Padding,
    PerAxis,
    fold_batch,
    padding_pairs,
    per_axis,
    unfold_batch,
)
from jaxnets.typing import ArrayLike


_IMPLEMENTATIONS = {
    "phases": sum_by_phases,
    "library": sum_by_library,
    "lax": sum_by_lax,
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
    """Transpose a convolution: each element of `x` adds the kernel, times itself.

    On one spatial axis, with stride s, dilation d, padding `low` and window k:

        y[b, p, o] = bias[o] + sum over t, c and i < k with s * t + d * i - low == p of
                     x[b, t, c] * kernel[i, c, o]

    and the same along every further axis. With `kernel_t`, the kernel whose last two
    axes are swapped, it is the transpose of `conv` with the same options:

        sum(conv(a, kernel_t) * x) == sum(a * conv_transpose(x, kernel))

    With groups the axes are swapped in each group. The number of spatial axes is
    `kernel.ndim - 2`. Padding is zeros, of the convolution that is transposed: here it
    cuts off.

    Args:
        x: `(*batch, *spatial, channels)`; any number of batch axes, also none.
        kernel: `(*window, channels // feature_group_count, features)`.
        bias: `(features,)`.
        strides: Distance between the windows of neighbours, an int or one per axis.
        padding: "SAME" or "SAME_LOWER" (output of `n * s`: the transpose of that
            convolution), "VALID" (nothing is cut: `(n - 1) * s + d * (k - 1) + 1`), an
            int, or per axis an int or `(low, high)`, which are cut off.
        output_padding: Elements that the output has more at the high end of each axis,
            where they are what would be cut off, or zeros. Any number.
        kernel_dilation: One more than the zeros put between elements of `kernel`.
        feature_group_count: Number of groups that channels and features are split
            into, in order; each group of features sees its own group of channels.
        precision: As in `jax.lax.conv_general_dilated`.
        implementation: "phases" computes elements of all phases `p % s` as features of
            one ordinary convolution; "library" takes XLA's transposed convolution, and
            ordinary convolutions for its gradients; "lax" takes JAX's own derivative
            too. None chooses: on CPU "phases" where it computes no zeros or XLA has no
            fast one, otherwise "library".

    Returns:
        `(*batch, *out, features)` in the promoted dtype of the arguments; sums of
        16-bit numbers are accumulated in float32 and rounded once, before the bias.

    Raises:
        TypeError: If an option has the wrong type, or an array holds no numbers.
        ValueError: If shapes and options do not fit together, or nothing is left.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([1.0, 10.0, 100.0])[:, None]
        >>> kernel = jnp.array([1.0, 2.0, 3.0])[:, None, None]
        >>> conv_transpose(x, kernel, strides=2, padding="VALID").ravel()
        Array([  1.,   2.,  13.,  20., 130., 200., 300.], dtype=float32)
        >>> images = jnp.ones((2, 8, 8, 16))
        >>> conv_transpose(images, jnp.ones((4, 4, 16, 3)), strides=2).shape
        (2, 16, 16, 3)

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
    2016, chapter 4. It differs from Flax and `jax.lax.conv_transpose`, which do not
    flip the kernel and so transpose no convolution unless told to, know no groups and
    read int padding as that of the dilated input; from PyTorch in the layout of the
    kernel, "SAME", one-sided padding and an `output_padding` of any size; from Keras in
    groups, explicit padding, and strides together with dilation.
    """
    x, kernel = as_array(x, "x"), as_array(kernel, "kernel")
    bias = as_optional_array(bias, "bias")
    dtype = promoted_dtype(x, kernel, bias)
    check_kernel(kernel, bias, feature_group_count)
    window = kernel.shape[:-2]
    ndim = len(window)
    x, batch = fold_batch(x, ndim, "x")
    check_channels(x, kernel, feature_group_count)
    strides = per_axis(strides, ndim, "strides")
    dilation = per_axis(kernel_dilation, ndim, "kernel_dilation")
    extra = per_axis(output_padding, ndim, "output_padding", minimum=0)
    low, out = _cut(x.shape[1:-1], window, strides, padding, dilation, extra)
    groups, precision = int(feature_group_count), checked_precision(precision)
    options = TransposeOptions(strides, low, out, dilation, groups, precision)
    name = _chosen(implementation, window, options)
    y = _IMPLEMENTATIONS[name](x.astype(dtype), kernel.astype(dtype), options)
    return unfold_batch(plus_bias(y, bias), batch)


def _cut(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    extra: Sequence[int],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how many elements are cut off low, and how many remain, on each axis."""
    if isinstance(padding, str) and padding == "CAUSAL":
        raise ValueError(
            "`padding` is 'CAUSAL', which has no transpose that is causal; wanted "
            "'SAME', 'SAME_LOWER', 'VALID' or explicit padding. Give (low, high) pairs."
        )
    reaches = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    scaled = [n * s for n, s in zip(sizes, strides, strict=True)]
    pairs = padding_pairs(
        padding, sizes=scaled, window=window, strides=strides, dilation=dilation
    )
    low = tuple(pair[0] for pair in pairs)
    if padding in ("SAME", "SAME_LOWER"):
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
                f"`x` has {sizes[axis]}; wanted 1 or more. Take less `padding`, more "
                "`output_padding` or a larger input."
            )
    return low, tuple(out)


def _chosen(
    implementation: str | None, window: Sequence[int], options: TransposeOptions
) -> str:
    """Pick the implementation: the one place where the choice is made."""
    cpu = jax.default_backend() == "cpu"
    # XLA on CPU has a kernel for inputs with gaps, for these only.
    library_on_cpu = len(window) < 3 and options.groups == 1
    even = all(
        s == 1 or (d == 1 and (k % s == 0 or k < s))
        for k, s, d in zip(window, options.strides, options.dilation, strict=True)
    )
    filled = "the window is no multiple of the strides, and would be filled with zeros"
    phases = None if cpu and (even or not library_on_cpu) else filled
    if not cpu:
        phases = "XLA's own transposed convolution serves accelerators"
    gaps = "the gradient of the kernel has gaps, which XLA's libraries do not know"
    candidates = [
        Candidate("phases", phases),
        Candidate("library"),
        Candidate("lax", gaps),
    ]
    return choose("conv_transpose", implementation, candidates)
