"""Implementations of the transposed convolution, over canonical options."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.core import max_dim
from jax.lax import ConvDimensionNumbers
from jaxtyping import Array, Num

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.implementations.lax import (
    ConvOptions,
    convolve,
)
from jaxnets.functional.shared.linear_maps import product_rule
from jaxnets.functional.shared.sizes import Size
from jaxnets.functional.shared.windows import padded


class TransposeOptions(NamedTuple):
    """Options of a transposed convolution, one entry per spatial axis.

    Attributes:
        strides: Distance between the windows of two neighbours of the input.
        low: Number of elements cropped before the output.
        out: Size of the output.
        dilation: Distance between the elements of a window.
        groups: Number of feature groups.
        precision: As in `jax.lax.conv_general_dilated`.
    """

    strides: tuple[Size, ...]
    low: tuple[Size, ...]
    out: tuple[Size, ...]
    dilation: tuple[Size, ...]
    groups: int
    precision: jax.lax.PrecisionLike


class _Phases(NamedTuple):
    """One axis of the convolution that computes all phases of the output at once.

    The elements `s * q + r` of the output before cropping, for one phase r, are an
    ordinary convolution of the input with every s-th element of the window.

    Attributes:
        window: Size of the window of each phase.
        count: Number of phases whose window is not empty.
        stride: Number of phases.
        filling: The part of the dilation that is written into the kernel as zeros.
        dilation: The dilation of the convolution.
        pair: Zero padding `(low, high)` of the input.
        start: Index of the first element of the output among those of all phases.
    """

    window: int
    count: int
    stride: int
    filling: int
    dilation: int
    pair: tuple[Size, Size]
    start: int


def conv_transpose_by_lax(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: TransposeOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve the dilated input with JAX's primitive and JAX's own derivative."""
    n = len(options.strides)
    return _conv_dilated_input(x, kernel, options, (n + 1, n, *range(n)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def conv_transpose_by_library(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: TransposeOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve the dilated input; both gradients are convolutions without dilation.

    XLA's libraries support a dilated input, and its gradient, a convolution with
    strides. JAX's gradient of the kernel convolves the dilated input with the cotangent
    as the window, which none of them supports; on CPUs it becomes a plain loop nest. So
    the gradient of the kernel is that of `conv_transpose_by_phases`.
    """
    return conv_transpose_by_lax(x, kernel, options)


def _conv_transpose_by_library_jvp(options, primals, tangents):
    (x, kernel), (dx, dkernel) = primals, tangents
    y = conv_transpose_by_library(x, kernel, options)
    # JAX's transpose in `dx` swaps input and output features of the kernel. They are
    # swapped here first, so that the gradient is in the layout that XLA's library for
    # CPUs supports; see `conv_by_library`.
    n = len(options.strides)
    swapped, layout = jnp.swapaxes(kernel, -1, -2), (n, n + 1, *range(n))
    return y, product_rule(
        y,
        (dx, lambda dx: _conv_dilated_input(dx, swapped, options, layout)),
        (dkernel, lambda dkernel: conv_transpose_by_phases(x, dkernel, options)),
    )


conv_transpose_by_library.defjvp(_conv_transpose_by_library_jvp, symbolic_zeros=True)


def conv_transpose_by_phases(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: TransposeOptions,
) -> Num[Array, "batch *out features"]:
    """Compute all phases of the output as features of one ordinary convolution.

    A reshape interleaves the phases ("depth to space"). There is no dilated input,
    neither here nor in the derivatives, but windows that are not a multiple of the
    stride are filled up with zeros.

    Source: Shi et al., "Is the deconvolution layer the same as a convolutional
    layer?", 2016.
    """
    axes = _phases_per_axis(x.shape[1:-1], kernel.shape[:-2], options)
    y = conv(
        padded(x, tuple(axis.pair for axis in axes), "zeros"),
        _phase_kernel(kernel, axes, options.groups),
        padding="VALID",
        kernel_dilation=tuple(axis.dilation for axis in axes),
        feature_group_count=options.groups,
        precision=options.precision,
    )
    y = _interleaved(y, axes, options.groups)
    starts = [0, *(axis.start for axis in axes), 0]
    sizes = [y.shape[0], *options.out, y.shape[-1]]
    limits = [start + size for start, size in zip(starts, sizes, strict=True)]
    return jax.lax.slice(y, starts, limits)


def _conv_dilated_input(x, kernel, options, kernel_spec):
    """Convolve the dilated `x`; `kernel_spec` is the layout of the kernel."""
    n = len(options.strides)
    steps = zip(kernel.shape[:n], options.dilation, strict=True)
    reaches = [d * (k - 1) for k, d in steps]
    pairs = []
    for size, stride, low, out, reach in zip(
        x.shape[1:-1], options.strides, options.low, options.out, reaches, strict=True
    ):
        dilated = max_dim((size - 1) * stride + 1, 0)
        pairs.append((reach - low, out + low - dilated))
    data = (0, n + 1, *range(1, n + 1))
    conv_options = ConvOptions(
        strides=(1,) * n,
        pairs=tuple(pairs),
        input_dilation=options.strides,
        kernel_dilation=options.dilation,
        groups=options.groups,
        precision=options.precision,
        result_dtype=None,
    )
    kernel = jnp.flip(kernel, tuple(range(n)))
    layout = ConvDimensionNumbers(data, kernel_spec, data)
    return convolve(x, kernel, conv_options, layout)


def _phases_per_axis(sizes, window, options) -> list[_Phases]:
    axes = []
    for size, k, stride, low, out, dilation in zip(
        sizes, window, *options[:4], strict=True
    ):
        # With a stride a dilated window would be spread unevenly over the phases.
        filling = dilation if stride > 1 else 1
        dilation //= filling
        reach = filling * (k - 1) + 1
        count = min(stride, reach)
        phase_window = -(-reach // stride)
        first, last = low // stride, (low + out - 1) // stride
        pair = (dilation * (phase_window - 1) - first, last - size + 1)
        start = low - stride * first
        axes.append(
            _Phases(phase_window, count, stride, filling, dilation, pair, start)
        )
    return axes


def _phase_kernel(kernel, axes: list[_Phases], groups: int):
    """Split the kernel by phase: `(*window, channels, groups * phases * f)`."""
    n = len(axes)
    channels, features = kernel.shape[-2:]
    config, shape = [], []
    for k, axis in zip(kernel.shape, axes, strict=False):
        reach = axis.filling * (k - 1) + 1
        config.append((0, axis.window * axis.count - reach, axis.filling - 1))
        shape += [axis.window, axis.count]
    zero = jnp.zeros((), kernel.dtype)
    kernel = jax.lax.pad(kernel, zero, [*config, (0, 0, 0), (0, 0, 0)])
    kernel = kernel.reshape(*shape, channels, groups, features // groups)
    elements, phases = range(0, 2 * n, 2), range(1, 2 * n, 2)
    kernel = jnp.flip(kernel, tuple(elements))
    kernel = kernel.transpose(*elements, 2 * n, 2 * n + 1, *phases, 2 * n + 2)
    # The size is computed since -1 is ambiguous without channels.
    outputs = features * math.prod(axis.count for axis in axes)
    return kernel.reshape(*(axis.window for axis in axes), channels, outputs)


def _interleaved(y, axes: list[_Phases], groups: int):
    """Reshape `(batch, *q, groups * phases * f)` to `(batch, *out, groups * f)`."""
    n = len(axes)
    batch, *sizes, features = y.shape
    counts = [axis.count for axis in axes]
    features //= groups * math.prod(counts)
    y = y.reshape(batch, *sizes, groups, *counts, features)
    order = [axis for i in range(n) for axis in (1 + i, 2 + n + i)]
    y = y.transpose(0, *order, 1 + n, 2 + 2 * n)
    config = [(0, 0, 0)] * y.ndim
    for i, axis in enumerate(axes):
        config[2 + 2 * i] = (0, axis.stride - axis.count, 0)
    y = jax.lax.pad(y, jnp.zeros((), y.dtype), config)
    out = [size * axis.stride for size, axis in zip(sizes, axes, strict=True)]
    return y.reshape(batch, *out, groups * features)
