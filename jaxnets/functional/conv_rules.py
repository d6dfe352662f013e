"""The convolution sum over canonical options, and how its derivative is laid out."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.lax import ConvDimensionNumbers
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxnets.functional.pool_dtypes import accumulation_dtype
from jaxnets.functional.windows import Pairs


# Kernel gradients of up to so many groups are one convolution each. The primitive's
# own, grouped over the batch, took 2 to 11 times as long on CPU with 2 and 4 groups;
# with 16 it took the same, and many small convolutions are slow to compile.
_MOST_SEPARATE_GROUPS = 8


class ConvOptions(NamedTuple):
    """Options of a convolution in canonical form, one entry per spatial axis.

    Attributes:
        strides: Steps of the window.
        pairs: Zeros `(low, high)` put around the dilated input.
        input_dilation: One more than the zeros put between inputs.
        kernel_dilation: One more than the zeros put between kernel elements.
        groups: Number of feature groups.
        precision: As in `jax.lax.conv_general_dilated`.
        result_dtype: Dtype of the result; None for that of the operands.
    """

    strides: tuple[int, ...]
    pairs: Pairs
    input_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    groups: int
    precision: jax.lax.PrecisionLike
    result_dtype: DTypeLike | None

    def dtypes(self, operands: DTypeLike) -> tuple[np.dtype, np.dtype]:
        """Return the dtypes to sum in and to return, for operands of a dtype."""
        result = np.dtype(operands if self.result_dtype is None else self.result_dtype)
        return accumulation_dtype(result), result


def conv_sum(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: ConvOptions,
) -> Num[Array, "batch *places features"]:
    """Sum over the window with JAX's primitive and JAX's own derivative."""
    return _layout_conv(x, kernel, options, _channels_last(len(options.strides)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def conv_sum_ordinary_gradients(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: ConvOptions,
) -> Num[Array, "batch *places features"]:
    """Sum over the window; both gradients are convolutions in the ordinary layout.

    XLA on CPU calls its convolution library only for channels-last inputs with HWIO
    kernels. It transposes other layouts to these, but not inside loops, where they
    become a plain loop nest. JAX's gradients are in other layouts, since transposing
    the primitive exchanges the roles of axes and never moves data. So the derivative
    here is stated in layouts from which that exchange arrives at the ordinary one,
    with the data moved beforehand. Everything is made of JAX's own operations, so all
    transformations and all orders of derivatives stay.

    The price is forward mode: its tangents inside a loop take the plain loop nest.
    """
    return conv_sum(x, kernel, options)


def _tangent(options, primals, tangents):
    (x, kernel), (dx, dkernel) = primals, tangents
    y = conv_sum_ordinary_gradients(x, kernel, options)
    # A constant operand, such as the data in a first layer, costs no convolution.
    dy = jnp.zeros_like(y)
    if not isinstance(dx, SymbolicZero):
        dy += _sum_for_input_gradient(dx, kernel, options)
    if not isinstance(dkernel, SymbolicZero):
        dy += _sum_for_kernel_gradient(x, dkernel, options)
    return y, dy


conv_sum_ordinary_gradients.defjvp(_tangent, symbolic_zeros=True)


def _sum_for_input_gradient(x, kernel, options):
    """Compute `conv_sum` so that its transpose in `x` is an ordinary convolution.

    That transpose is `conv(dy, flipped kernel)` with in and out features exchanged.
    """
    n = len(options.strides)
    ordinary = _channels_last(n)
    swapped = ordinary._replace(rhs_spec=(n, n + 1, *range(n)))
    return _layout_conv(x, jnp.swapaxes(kernel, -1, -2), options, swapped)


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def _sum_for_kernel_gradient(x, kernel, options):
    """Compute `conv_sum` so that its transpose in `kernel` is ordinary convolutions.

    That transpose is a convolution over space whose batch are the input's channels and
    whose contracted features are the examples: `x (channels, *spatial, batch)` with
    the window `dy (*places, batch, features)` gives `(channels, *window, features)`.

    The checkpoint keeps `x` for the way back: a loop stores it faster than `x` moved.
    """
    groups = options.groups
    if 1 < groups <= _MOST_SEPARATE_GROUPS:
        alone = options._replace(groups=1)
        parts = zip(
            jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True
        )
        sums = [_sum_for_kernel_gradient(x, k, alone) for x, k in parts]
        return jnp.concatenate(sums, -1)
    n = len(options.strides)
    layout = ConvDimensionNumbers(
        lhs_spec=(n + 1, 0, *range(1, n + 1)),
        rhs_spec=(n + 1, 0, *range(1, n + 1)),
        out_spec=(n, n + 1, *range(n)),
    )
    # Gaps left to the primitive would become strides of its transpose, and XLA turns
    # that into another layout.
    x = dilated(x, options.input_dilation)
    options = options._replace(input_dilation=(1,) * n)
    kernel = jnp.moveaxis(kernel, -2, 0)
    y = _layout_conv(jnp.swapaxes(x, 0, -1), kernel, options, layout)
    return jnp.moveaxis(y, -2, 0)


def dilated(
    x: Num[Array, "batch *spatial channels"], gaps: Sequence[int]
) -> Num[Array, "batch *dilated channels"]:
    """Put `gap - 1` zeros between the elements of each spatial axis."""
    config = [(0, 0, 0), *((0, 0, gap - 1) for gap in gaps), (0, 0, 0)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), config)


def _channels_last(ndim: int) -> ConvDimensionNumbers:
    """Place `(batch, feature, *spatial)`, and `(out, in, *window)` of the kernel."""
    data = (0, ndim + 1, *range(1, ndim + 1))
    return ConvDimensionNumbers(data, (ndim + 1, ndim, *range(ndim)), data)


def _layout_conv(x, kernel, options, layout):
    return jax.lax.conv_general_dilated(
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
