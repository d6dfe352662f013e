"""Depthwise convolution as a sum over shifts of the input.

Each channel has its own kernel, so that nothing is summed over channels, and a matrix
product does not help. `y = sum over window elements i of x[shifted by i] * kernel[i]`
is elementwise, and XLA compiles it to one pass over the data. XLA's convolution
computes the gradient of the kernel for all pairs of channels, and drops most of it.

Both gradients are one pass too. JAX's own would transpose each slice to a pad, and
store all the slices.
"""

import functools
import itertools
import math
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import ConvOptions
from jaxnets.functional.shared.linear_maps import bilinear_rule
from jaxnets.functional.shared.sizes import Size


# The gradient of a kernel element is a sum over the batch and all positions. The
# positions along one axis are cut into this many parts. They are added elementwise,
# which XLA vectorises, before the rest is summed. The batch is not cut: it may be
# sharded, and then the devices would have to exchange their parts.
_PARTS = 16


class _Shifts(NamedTuple):
    """What a window reads: `x[stride * position + offset]` on each spatial axis.

    Attributes:
        offsets: For each element of the window, its offset on each axis.
        strides: Distance between positions.
        out: Number of positions.
        size: Size of `x`.
    """

    offsets: tuple[tuple[Size, ...], ...]
    strides: tuple[Size, ...]
    out: tuple[Size, ...]
    size: tuple[Size, ...]


def conv_by_shifts(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window 1 features"],
    options: ConvOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve where every channel is a group of its own."""
    wide, result = options.dtypes(x.dtype)
    axes = zip(options.pairs, options.input_dilation, strict=True)
    config = [(low, high, gap - 1) for (low, high), gap in axes]
    x = jax.lax.pad(
        x.astype(wide), jnp.zeros((), wide), [(0, 0, 0), *config, (0, 0, 0)]
    )
    *window, _, features = kernel.shape
    if features != x.shape[-1]:
        x = jnp.repeat(x, features // x.shape[-1], axis=-1)
    steps = zip(window, options.kernel_dilation, strict=True)
    axis_offsets = [range(0, k * d, d) for k, d in steps]
    reaches = [offsets[-1] + 1 for offsets in axis_offsets]
    spans = zip(x.shape[1:-1], reaches, options.strides, strict=True)
    shifts = _Shifts(
        offsets=tuple(itertools.product(*axis_offsets)),
        strides=options.strides,
        out=tuple((n - reach) // s + 1 for n, reach, s in spans),
        size=x.shape[1:-1],
    )
    weights = kernel.astype(wide).reshape((math.prod(window), *[1] * (x.ndim - 1), -1))
    # Without these barriers XLA would fuse the previous layer, and in a scan the slice
    # of these weights from those of all layers, into the sum, and compute them once for
    # each of its terms. There are two, since JAX would take both results of one for
    # linear where only `x` or `weights` is a tangent.
    x = jax.lax.optimization_barrier(x)
    weights = jax.lax.optimization_barrier(weights)
    y = _product(0, x, weights, shifts)
    return jax.lax.optimization_barrier(y).astype(result)


def _weighted_sum(x: jax.Array, weights: jax.Array, shifts: _Shifts) -> jax.Array:
    """Return the sum of `x[shifted by i] * weights[i]`."""
    pairs = zip(shifts.offsets, jnp.unstack(weights), strict=True)
    return _sum(_shifted(x, offset, shifts) * weight for offset, weight in pairs)


def _input_gradient(weights: jax.Array, dy: jax.Array, shifts: _Shifts) -> jax.Array:
    """Return the gradient of `x`: `dy` between zeros, read by the mirrored window."""
    weights = jax.lax.optimization_barrier(weights)
    reach = shifts.offsets[-1]
    axes = zip(shifts.size, reach, shifts.strides, shifts.out, strict=True)
    config = [(r, n - 1 - s * (out - 1), s - 1) for n, r, s, out in axes]
    dy = jax.lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *config, (0, 0, 0)])
    mirrored = tuple(tuple(map(operator.sub, reach, o)) for o in shifts.offsets)
    ones = (1,) * len(reach)
    read = _Shifts(mirrored, ones, out=shifts.size, size=dy.shape[1:-1])
    return _weighted_sum(dy, weights, read)


def _weight_gradient(dy: jax.Array, x: jax.Array, shifts: _Shifts) -> jax.Array:
    """Return the gradient of `weights`: the parts are added, then summed over."""
    # In a loop `x` is a slice of the stacked residuals of all steps: read it once.
    x = jax.lax.optimization_barrier(x)
    axis, count, size = _parts(shifts.out)
    step = size * shifts.strides[axis]
    reach = (count - 1) * step + (size - 1) * shifts.strides[axis] + 1
    missing = reach + shifts.offsets[-1][axis] - x.shape[axis + 1]
    x = _filled(x, axis, max(missing, 0) if count > 1 else 0)
    dy = _filled(dy, axis, count * size - shifts.out[axis])
    sizes = (*shifts.out[:axis], size, *shifts.out[axis + 1 :])
    part = shifts._replace(out=sizes)

    def of_element(offset: tuple[Size, ...]) -> jax.Array:
        terms = []
        for i in range(count):
            start = [i * step if a == axis else 0 for a in range(len(sizes))]
            read = _shifted(x, tuple(map(operator.add, start, offset)), part)
            ends = i * size, (i + 1) * size
            terms.append(read * jax.lax.slice_in_dim(dy, *ends, axis=axis + 1))
        # Without the barrier XLA would change the order of summation.
        total = jax.lax.optimization_barrier(_sum(terms))
        return jnp.sum(total, tuple(range(x.ndim - 1)), keepdims=True)

    gradients = [of_element(offset) for offset in shifts.offsets]
    shape = (len(gradients), *[1] * (x.ndim - 1), x.shape[-1])
    return jnp.stack(gradients).reshape(shape)


def _filled(x: jax.Array, axis: int, count: Size) -> jax.Array:
    """Return `x` with zeros after the end of a spatial axis."""
    config = [(0, 0, 0)] * x.ndim
    config[axis + 1] = (0, count, 0)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), config)


_SUMS = _weighted_sum, _input_gradient, _weight_gradient


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 3))
def _product(
    which: int, left: jax.Array, right: jax.Array, shifts: _Shifts
) -> jax.Array:
    """Return `_SUMS[which](left, right, shifts)`.

    Each is linear in both arguments, which are, in turn, `x` and `weights`, `weights`
    and the cotangent, the cotangent and `x`; the result is like the third. So the
    transpose in either argument is another one of the three.
    """
    return _SUMS[which](left, right, shifts)


@functools.partial(_product.defjvp, symbolic_zeros=True)
def _product_jvp(which, shifts, primals, tangents):
    after, before = (which + 1) % 3, (which + 2) % 3
    return bilinear_rule(
        lambda left, right: _product(which, left, right, shifts),
        lambda dy, right: _product(after, right, dy, shifts),
        lambda dy, left: _product(before, dy, left, shifts),
        primals,
        tangents,
    )


def _parts(out: tuple[Size, ...]) -> tuple[int, int, Size]:
    """Return the longest axis of `out`, the number of its parts, and their size.

    Axes of a symbolic size are not cut.
    """
    known = [0 if jax.export.is_symbolic_dim(size) else size for size in out]
    axis = known.index(max(known))
    size = -(-known[axis] // _PARTS)
    return (axis, -(-known[axis] // size), size) if size else (0, 1, out[0])


def _shifted(x: jax.Array, offset: tuple[Size, ...], shifts: _Shifts) -> jax.Array:
    """Return what the window element at `offset` reads of `x`, at all positions."""
    axes = zip(offset, shifts.strides, shifts.out, strict=True)
    limits = [start + stride * (out - 1) + 1 for start, stride, out in axes]
    return jax.lax.slice(
        x,
        (0, *offset, 0),
        (x.shape[0], *limits, x.shape[-1]),
        (1, *shifts.strides, 1),
    )


def _sum(terms) -> jax.Array:
    return functools.reduce(operator.add, terms)
