"""Depthwise convolution as a sum over shifts of the input.

Each channel has its own kernel, so that nothing is summed over channels, and a matrix
product does not help. `y = sum over window elements i of x[shifted by i] * kernel[i]`
is elementwise, and XLA compiles it to one pass over the data. XLA's convolution
computes the gradient of the kernel for all pairs of channels, and drops most of it.

The derivative is written so that its transpose is one pass too. JAX transposes a slice
to a pad and a pad to a slice, so the tangents are made of pads.
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
from jaxnets.functional.shared.linear_maps import product_rule
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
    """

    offsets: tuple[tuple[Size, ...], ...]
    strides: tuple[Size, ...]
    out: tuple[Size, ...]


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
    )
    weights = kernel.astype(wide).reshape((math.prod(window), *[1] * (x.ndim - 1), -1))
    # Without these barriers XLA would fuse the previous layer, and in a scan the slice
    # of these weights from those of all layers, into the sum, and compute them once for
    # each of its terms. There are two, since JAX would take both results of one for
    # linear where only `x` or `weights` is a tangent.
    x = jax.lax.optimization_barrier(x)
    weights = jax.lax.optimization_barrier(weights)
    y = _weighted_sum(x, weights, shifts)
    return jax.lax.optimization_barrier(y).astype(result)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _weighted_sum(x: jax.Array, weights: jax.Array, shifts: _Shifts) -> jax.Array:
    """Return the sum of `x[shifted by i] * weights[i]`."""
    pairs = zip(shifts.offsets, jnp.unstack(weights), strict=True)
    return _sum(_shifted(x, offset, shifts) * weight for offset, weight in pairs)


@functools.partial(_weighted_sum.defjvp, symbolic_zeros=True)
def _weighted_sum_jvp(shifts, primals, tangents):
    (x, weights), (dx, dweights) = primals, tangents
    y = _weighted_sum(x, weights, shifts)
    return y, product_rule(
        y,
        (dx, lambda dx: _sum_for_input_gradient(dx, weights, shifts)),
        (dweights, lambda dweights: _sum_for_weight_gradient(x, dweights, shifts)),
    )


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def _sum_for_input_gradient(
    x: jax.Array, weights: jax.Array, shifts: _Shifts
) -> jax.Array:
    """Compute `_weighted_sum` so that its transpose in `x` is a sum of slices.

    All of `x` is padded to each shift, and the positions are read from the sum.
    """
    reach = shifts.offsets[-1]
    weights = jax.lax.optimization_barrier(weights)

    def padded(offset: tuple[Size, ...], weight: jax.Array) -> jax.Array:
        sides = zip(reach, offset, strict=True)
        config = [(0, 0, 0), *((r - o, o, 0) for r, o in sides), (0, 0, 0)]
        return jax.lax.pad(x * weight, jnp.zeros((), x.dtype), config)

    total = _sum(map(padded, shifts.offsets, jnp.unstack(weights)))
    return _shifted(total, reach, shifts)


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def _sum_for_weight_gradient(
    x: jax.Array, weights: jax.Array, shifts: _Shifts
) -> jax.Array:
    """Compute `_weighted_sum` so that its transpose in `weights` adds parts first.

    All parts of the positions share one broadcast copy of each weight, so the transpose
    adds the cotangents of the parts before it sums over the rest. The checkpoint stores
    `x` as a residual instead of all its shifts.
    """
    # In a loop `x` is a slice of the stacked residuals of all steps: read it once.
    x = jax.lax.optimization_barrier(x)
    axis, count, size = _parts(shifts.out)
    step = size * shifts.strides[axis]
    reach = (count - 1) * step + (size - 1) * shifts.strides[axis] + 1
    fill = [(0, 0, 0)] * x.ndim
    missing = reach + shifts.offsets[-1][axis] - x.shape[axis + 1]
    fill[axis + 1] = (0, max(missing, 0) if count > 1 else 0, 0)
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), fill)
    sizes = (*shifts.out[:axis], size, *shifts.out[axis + 1 :])
    # Without the barriers XLA would change the order of summation.
    broadcast = [
        jax.lax.optimization_barrier(
            jnp.broadcast_to(w, (x.shape[0], *sizes, w.shape[-1]))
        )
        for w in jnp.unstack(weights)
    ]
    sums = []
    for i in range(count):
        start = [i * step if a == axis else 0 for a in range(len(sizes))]
        offsets = (tuple(map(operator.add, start, o)) for o in shifts.offsets)
        part = shifts._replace(offsets=tuple(offsets), out=sizes)
        pairs = zip(part.offsets, broadcast, strict=True)
        sums.append(
            _sum(_shifted(x, offset, part) * weight for offset, weight in pairs)
        )
    total = jnp.concatenate(sums, axis + 1)
    return jax.lax.slice_in_dim(total, 0, shifts.out[axis], axis=axis + 1)


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
