"""Depthwise convolution as a sum over the taps of its kernel.

Each channel has a kernel of its own, so nothing is summed over channels and a matrix
product has nothing to do: `y = sum over taps t of x[shifted by t] * kernel[t]`, which
XLA makes one pass over the data. Its convolution takes 20 times as long on CPUs, and
for the kernel's gradient it computes all pairs of channels and drops most of them.

The derivative is stated so that its transpose is such a pass too: what JAX transposes
a slice to is a pad, and the other way round, so the tangents are made of pads.
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


# The gradient of each tap is a sum over all places. First adding up so many slices of
# the batch leaves little to sum, and is what vectorises: with 7 by 7 taps it took a
# thirtieth of the time of one sum over everything.
_BATCH_CHUNKS = 16


class _Grid(NamedTuple):
    """Where the taps read: `x[stride * place + offset]` on each spatial axis."""

    offsets: tuple[tuple[int, ...], ...]
    strides: tuple[int, ...]
    out: tuple[int, ...]


def conv_sum_by_taps(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window 1 features"],
    options: ConvOptions,
) -> Num[Array, "batch *places features"]:
    """Sum over the window where every channel is a group of its own."""
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
    reads = [range(0, k * d, d) for k, d in steps]
    reaches = [places[-1] + 1 for places in reads]
    spans = zip(x.shape[1:-1], reaches, options.strides, strict=True)
    grid = _Grid(
        offsets=tuple(itertools.product(*reads)),
        strides=options.strides,
        out=tuple((n - reach) // s + 1 for n, reach, s in spans),
    )
    taps = kernel.astype(wide).reshape((math.prod(window), *[1] * (x.ndim - 1), -1))
    # What XLA fused into the sum it would compute once for each of its terms: the sum
    # of the layer before, and in a scan where among all layers' taps these ones are.
    x, taps = jax.lax.optimization_barrier((x, taps))
    y = _tap_sum(x, taps, grid)
    return jax.lax.optimization_barrier(y).astype(result)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _tap_sum(x: jax.Array, taps: jax.Array, grid: _Grid) -> jax.Array:
    pairs = zip(grid.offsets, jnp.unstack(taps), strict=True)
    return _sum(_read(x, offset, grid) * tap for offset, tap in pairs)


@functools.partial(_tap_sum.defjvp, symbolic_zeros=True)
def _tap_sum_jvp(grid, primals, tangents):
    (x, taps), (dx, dtaps) = primals, tangents
    y = _tap_sum(x, taps, grid)
    return y, product_rule(
        y,
        (dx, lambda dx: _sum_for_input_gradient(dx, taps, grid)),
        (dtaps, lambda dtaps: _sum_for_tap_gradient(x, dtaps, grid)),
    )


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def _sum_for_input_gradient(x: jax.Array, taps: jax.Array, grid: _Grid) -> jax.Array:
    """Compute `_tap_sum` so that its transpose in `x` is a sum of slices.

    Every tap writes all of `x`, moved, into one frame; the places are read off it.
    """
    reach = grid.offsets[-1]
    taps = jax.lax.optimization_barrier(taps)

    def moved(offset: tuple[int, ...], tap: jax.Array) -> jax.Array:
        sides = zip(reach, offset, strict=True)
        config = [(0, 0, 0), *((r - o, o, 0) for r, o in sides), (0, 0, 0)]
        return jax.lax.pad(x * tap, jnp.zeros((), x.dtype), config)

    frame = _sum(map(moved, grid.offsets, jnp.unstack(taps)))
    return _read(frame, reach, grid)


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def _sum_for_tap_gradient(x: jax.Array, taps: jax.Array, grid: _Grid) -> jax.Array:
    """Compute `_tap_sum` so that its transpose in `taps` first adds up the batch.

    All chunks of the batch share one broadcast copy of each tap, so the cotangents of
    the chunks are added before the transpose of the broadcast sums over places. The
    checkpoint keeps `x` for the way back instead of everything that is read from it.
    """
    # Within a loop `x` is a slice of what all its steps kept: it is read once, here.
    x = jax.lax.optimization_barrier(x)
    batch = x.shape[0]
    chunk = max(1, -(-batch // _BATCH_CHUNKS))
    count = max(1, -(-batch // chunk))
    fill = [(0, count * chunk - batch, 0), *[(0, 0, 0)] * (x.ndim - 1)]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), fill)
    shape = (chunk, *grid.out, x.shape[-1])
    # Without the barriers XLA would undo the order of summation.
    wide = [
        jax.lax.optimization_barrier(jnp.broadcast_to(tap, shape))
        for tap in jnp.unstack(taps)
    ]
    chunks = [
        _sum(map(lambda o, tap: _read(part, o, grid) * tap, grid.offsets, wide))
        for part in jnp.split(x, count)
    ]
    return jnp.concatenate(chunks)[:batch]


def _read(x: jax.Array, offset: tuple[int, ...], grid: _Grid) -> jax.Array:
    """Return what the tap at `offset` reads of `x`, for all places."""
    axes = zip(offset, grid.strides, grid.out, strict=True)
    limits = [start + stride * (out - 1) + 1 for start, stride, out in axes]
    return jax.lax.slice(
        x,
        (0, *offset, 0),
        (x.shape[0], *limits, x.shape[-1]),
        (1, *grid.strides, 1),
    )


def _sum(terms) -> jax.Array:
    return functools.reduce(operator.add, terms)
