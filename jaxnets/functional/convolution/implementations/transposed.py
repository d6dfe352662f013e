"""The sum of a transposed convolution, over canonical options, in three ways."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import ConvDimensionNumbers
from jaxtyping import Array, Num

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.implementations.lax import (
    ConvOptions,
    convolve,
)
from jaxnets.functional.shared.linear_maps import product_rule
from jaxnets.functional.shared.windows import padded


class TransposeOptions(NamedTuple):
    """Options of a transposed convolution, one entry per spatial axis.

    Attributes:
        strides: Distance between the windows of two neighbours of the input.
        low: Elements cut off before the output.
        out: Elements of the output.
        dilation: Distance between the taps of a window.
        groups: Number of feature groups.
        precision: As in `jax.lax.conv_general_dilated`.
    """

    strides: tuple[int, ...]
    low: tuple[int, ...]
    out: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    precision: jax.lax.PrecisionLike


class _Phases(NamedTuple):
    """One axis of the convolution that yields all phases of the output at once.

    Elements `s * q + r` of the uncut output, with one phase r, are an ordinary
    convolution over the input: their taps are every s-th of the window.

    Attributes:
        taps: Taps of each phase.
        count: Phases that have taps.
        stride: Phases in all.
        filling: Dilation that is written into the kernel as zeros.
        dilation: Dilation that is left to the convolution.
        pair: Zeros around the input.
        start: Where the output starts among the elements of all phases.
    """

    taps: int
    count: int
    stride: int
    filling: int
    dilation: int
    pair: tuple[int, int]
    start: int


def sum_by_lax(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: TransposeOptions,
) -> Num[Array, "batch *out features"]:
    """Sum with JAX's primitive over an input with gaps, and JAX's own derivative."""
    n = len(options.strides)
    return _sum_over_gaps(x, kernel, options, (n + 1, n, *range(n)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def sum_by_library(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: TransposeOptions,
) -> Num[Array, "batch *out features"]:
    """Sum with JAX's primitive; both gradients are convolutions without gaps.

    XLA's libraries know an input with gaps, and its gradient: a convolution with
    strides. JAX's gradient of the kernel has gaps too, which none of them knows; on CPU
    it becomes a plain loop nest. Here that gradient is the one of `sum_by_phases`.
    """
    return sum_by_lax(x, kernel, options)


def _tangent(options, primals, tangents):
    (x, kernel), (dx, dkernel) = primals, tangents
    y = sum_by_library(x, kernel, options)
    # Transposing exchanges in and out features of the kernel, and XLA on CPU wants them
    # in the ordinary layout then, as in `conv_rules`.
    n = len(options.strides)
    swapped, layout = jnp.swapaxes(kernel, -1, -2), (n, n + 1, *range(n))
    return y, product_rule(
        y,
        (dx, lambda dx: _sum_over_gaps(dx, swapped, options, layout)),
        (dkernel, lambda dkernel: sum_by_phases(x, dkernel, options)),
    )


sum_by_library.defjvp(_tangent, symbolic_zeros=True)


def sum_by_phases(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: TransposeOptions,
) -> Num[Array, "batch *out features"]:
    """Sum with one ordinary convolution, whose features are all phases of the output.

    The phases are interleaved by a reshape ("depth to space"). Nothing has gaps,
    neither here nor in the derivatives, but windows that are no multiple of the stride
    are filled up with zeros.

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


def _sum_over_gaps(x, kernel, options, kernel_spec):
    """Convolve `x` with gaps; the spec places `(out, in, *window)` of the kernel."""
    n = len(options.strides)
    steps = zip(kernel.shape[:n], options.dilation, strict=True)
    reaches = [d * (k - 1) for k, d in steps]
    pairs = []
    for size, stride, low, out, reach in zip(
        x.shape[1:-1], options.strides, options.low, options.out, reaches, strict=True
    ):
        dilated = max((size - 1) * stride + 1, 0)
        pairs.append((reach - low, out + low - dilated))
    data = (0, n + 1, *range(1, n + 1))
    gaps = ConvOptions(
        strides=(1,) * n,
        pairs=tuple(pairs),
        input_dilation=options.strides,
        kernel_dilation=options.dilation,
        groups=options.groups,
        precision=options.precision,
        result_dtype=None,
    )
    kernel = jnp.flip(kernel, tuple(range(n)))
    return convolve(x, kernel, gaps, ConvDimensionNumbers(data, kernel_spec, data))


def _phases_per_axis(sizes, window, options) -> list[_Phases]:
    axes = []
    for size, k, stride, low, out, dilation in zip(
        sizes, window, *options[:4], strict=True
    ):
        # With a stride, dilated taps would be spread unevenly over the phases.
        filling = dilation if stride > 1 else 1
        dilation //= filling
        reach = filling * (k - 1) + 1
        count = min(stride, reach)
        taps = -(-reach // stride)
        first, last = low // stride, (low + out - 1) // stride
        pair = (dilation * (taps - 1) - first, last - size + 1)
        start = low - stride * first
        axes.append(_Phases(taps, count, stride, filling, dilation, pair, start))
    return axes


def _phase_kernel(kernel, axes: list[_Phases], groups: int):
    """Give each phase its own features: `(*taps, channels, groups * phases * f)`."""
    n = len(axes)
    channels, features = kernel.shape[-2:]
    config, shape = [], []
    for k, axis in zip(kernel.shape, axes, strict=False):
        reach = axis.filling * (k - 1) + 1
        config.append((0, axis.taps * axis.count - reach, axis.filling - 1))
        shape += [axis.taps, axis.count]
    zero = jnp.zeros((), kernel.dtype)
    kernel = jax.lax.pad(kernel, zero, [*config, (0, 0, 0), (0, 0, 0)])
    kernel = kernel.reshape(*shape, channels, groups, features // groups)
    taps, phases = range(0, 2 * n, 2), range(1, 2 * n, 2)
    kernel = jnp.flip(kernel, tuple(taps))
    kernel = kernel.transpose(*taps, 2 * n, 2 * n + 1, *phases, 2 * n + 2)
    # Not -1: without channels it would be undetermined.
    outputs = features * math.prod(axis.count for axis in axes)
    return kernel.reshape(*(axis.taps for axis in axes), channels, outputs)


def _interleaved(y, axes: list[_Phases], groups: int):
    """Turn `(batch, *places, groups * phases * f)` to `(batch, *out, groups * f)`."""
    n = len(axes)
    batch, *places, features = y.shape
    counts = [axis.count for axis in axes]
    features //= groups * math.prod(counts)
    y = y.reshape(batch, *places, groups, *counts, features)
    order = [axis for i in range(n) for axis in (1 + i, 2 + n + i)]
    y = y.transpose(0, *order, 1 + n, 2 + 2 * n)
    config = [(0, 0, 0)] * y.ndim
    for i, axis in enumerate(axes):
        config[2 + 2 * i] = (0, axis.stride - axis.count, 0)
    y = jax.lax.pad(y, jnp.zeros((), y.dtype), config)
    out = [size * axis.stride for size, axis in zip(places, axes, strict=True)]
    return y.reshape(batch, *out, groups * features)
