"""JAX's own convolution, with a workaround for sizes that XLA cannot compile."""

from collections.abc import Sequence
from itertools import chain, permutations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import ConvDimensionNumbers
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.sizes import Size, definitely, is_known
from jaxnets.functional.shared.windows import Pairs


class ConvOptions(NamedTuple):
    """Options of a convolution in canonical form, one entry per spatial axis.

    Attributes:
        strides: Distance between positions of the window.
        pairs: Zero padding `(low, high)` of the dilated input.
        input_dilation: Distance between elements of the input.
        kernel_dilation: Distance between elements of the window.
        groups: Number of feature groups.
        precision: As in `jax.lax.conv_general_dilated`.
        result_dtype: Dtype of the result; None for that of the operands.
    """

    strides: tuple[Size, ...]
    pairs: Pairs
    input_dilation: tuple[Size, ...]
    kernel_dilation: tuple[Size, ...]
    groups: int
    precision: jax.lax.PrecisionLike
    result_dtype: DTypeLike | None

    def dtypes(self, operands: DTypeLike) -> tuple[np.dtype, np.dtype]:
        """Return the dtypes of the sum and of the result for operands of a dtype."""
        result = np.dtype(operands if self.result_dtype is None else self.result_dtype)
        return accumulation_dtype(result), result


def conv_by_lax(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: ConvOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve with JAX's primitive and JAX's own derivative."""
    return convolve(x, kernel, options, _channels_last(len(options.strides)))


def convolve(
    x: Num[Array, "..."],
    kernel: Num[Array, "..."],
    options: ConvOptions,
    layout: ConvDimensionNumbers,
) -> Num[Array, "..."]:
    """Call `jax.lax.conv_general_dilated`, around sizes that XLA cannot compile.

    XLA swaps the input and the window where the window is larger. Then it misreads an
    axis with window k, input dilation k, stride k - 1 and no padding as one of k
    groups, even if its size is not k, and aborts the process with "Window dimensions do
    not match RHS shape" (JAX 0.11 and 0.12). So where this convolution or one of JAX's
    derivatives of it has such an axis, the axis is padded by one stride, and the
    additional output is cropped.

    Args:
        x: The input, with axes as `layout` says.
        kernel: The kernel, with axes as `layout` says.
        options: Options of the convolution.
        layout: The order of the axes.
    """
    if not is_known(*chain(*options.pairs)):
        # JAX's convolution does not support symbolic padding, but `jax.lax.pad` does.
        config = [(0, 0, 0)] * x.ndim
        steps = zip(options.pairs, options.input_dilation, strict=True)
        for axis, ((low, high), gap) in zip(layout.lhs_spec[2:], steps, strict=True):
            config[axis] = (low, high, gap - 1)
        x = jax.lax.pad(x, jnp.zeros((), x.dtype), config)
        n = len(config) - 2
        options = options._replace(pairs=((0, 0),) * n, input_dilation=(1,) * n)
    sizes = [x.shape[axis] for axis in layout.lhs_spec[2:]]
    window = [kernel.shape[axis] for axis in layout.rhs_spec[2:]]
    cropped: set[int] = set()
    # A larger output may be larger than the input, so the other axes are read again.
    while misread := misread_axes(sizes, window, options):
        pairs = list(options.pairs)
        for axis in misread:
            low, high = pairs[axis]
            pairs[axis] = low, high + options.strides[axis]
        options = options._replace(pairs=tuple(pairs))
        cropped |= misread
    y = jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=options.strides,
        padding=options.pairs,
        lhs_dilation=options.input_dilation,
        rhs_dilation=options.kernel_dilation,
        dimension_numbers=layout,
        feature_group_count=options.groups,
        precision=options.precision,
        preferred_element_type=options.result_dtype,
    )
    for axis in cropped:
        place = layout.out_spec[2 + axis]
        y = jax.lax.slice_in_dim(y, 0, y.shape[place] - 1, axis=place)
    return y


def misread_axes(
    sizes: Sequence[Size], window: Sequence[Size], options: ConvOptions
) -> set[int]:
    """Return the spatial axes that XLA misreads here or in one of JAX's derivatives.

    A derivative convolves one of the input (n), the window (k) and the output (m) with
    another one, and the distances of the third are its strides. In each of these six
    convolutions the padding is the distance of `(low, end)` from a number, where `end`
    is the padding at the high end as far as the window reaches it.

    Groups make no difference. Those of a kernel's gradient are groups of the batch, and
    in some dtypes XLA makes one convolution of all groups.
    """
    here, derivatives = [], []
    axes = zip(sizes, window, *options[:4], strict=True)
    for n, k, stride, (low, high), gap, step in axes:
        span, reach = (n - 1) * gap, step * (k - 1)
        m = (span + low + high - reach) // stride + 1
        length = (m - 1) * stride
        end = length + reach - span - low
        here.append((n, k, (stride, gap, step, low, high)))
        sides = (n, gap, 0), (m, stride, reach), (k, step, length)
        derivatives.append(
            [
                (a, b, (r, p, q, low - edge, end - edge))
                for (a, p, edge), (b, q, _), (_, r, _) in permutations(sides)
            ]
        )
    misread: set[int] = set()
    for convolution in (here, *zip(*derivatives, strict=True)):
        if any(definitely(lambda a=a, b=b: b > a) for a, b, _ in convolution):
            misread |= {
                i
                for i, (a, b, steps) in enumerate(convolution)
                if a != b and steps == (b - 1, b, 1, 0, 0)
            }
    return misread


def dilated(
    x: Num[Array, "batch *spatial channels"], dilation: Sequence[Size]
) -> Num[Array, "batch *dilated channels"]:
    """Insert `d - 1` zeros between the elements of each spatial axis."""
    config = [(0, 0, 0), *((0, 0, d - 1) for d in dilation), (0, 0, 0)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), config)


def _channels_last(ndim: int) -> ConvDimensionNumbers:
    """Return the layout of channels-last inputs and outputs and of HWIO kernels."""
    data = (0, ndim + 1, *range(1, ndim + 1))
    return ConvDimensionNumbers(data, (ndim + 1, ndim, *range(ndim)), data)
