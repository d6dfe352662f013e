"""Sums and log-sum-exps over windows."""

import functools
import itertools
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.functional.pooling.implementations.stages import (
    Stage,
    axis_stages,
    exact_offsets,
    shifted_slices,
    whole_window_stages,
)
from jaxnets.functional.pooling.options import (
    PoolWindows,
    for_reduce_window,
    padded_for_windows,
    resize_axis,
)
from jaxnets.functional.shared.sharding import call_with_auto_axes, partition_spec


def sums_by_shifts(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums over windows by adding one slice of `x` per element of a window.

    XLA compiles the sum, and its derivative, to one pass over the data.
    """
    x = padded_for_windows(x, windows, mode, fill=0)
    if not windows.overlap:
        slices = shifted_slices(x, *whole_window_stages(windows, mode))
        return functools.reduce(jnp.add, slices)
    # If windows overlap, XLA does not compile the transpose of `shifted_slices` to one
    # pass, but that of slices with strides.
    steps = zip(windows.window, windows.dilation, strict=True)
    offsets = itertools.product(*(range(0, k * d, d) for k, d in steps))
    strides = (1, *windows.strides, 1)
    axes = zip(windows.out, windows.strides, strict=True)
    spans = [(out - 1) * stride + 1 for out, stride in axes]

    def shifted(offset: tuple[int, ...]) -> jax.Array:
        ends = map(operator.add, offset, spans)
        limits = (x.shape[0], *ends, x.shape[-1])
        return jax.lax.slice(x, (0, *offset, 0), limits, strides)

    return functools.reduce(jnp.add, map(shifted, offsets))


def sums_by_reshape(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums over windows that do not overlap.

    An axis of `out * stride` elements is reshaped to `(out, stride)`, and the sum runs
    over the elements of the second axis that are in the window.
    """
    x = padded_for_windows(x, windows, mode, fill=0)
    shape, in_window = [x.shape[0]], [slice(None)]
    for axis in range(windows.ndim):
        stride, dilation = windows.strides[axis], windows.dilation[axis]
        x = resize_axis(x, axis + 1, windows.out[axis] * stride)
        shape += [windows.out[axis], stride]
        in_window += [slice(None), slice(0, dilation * windows.window[axis], dilation)]
    shape = (*shape, x.shape[-1])
    # On a mesh with explicit axes JAX does not know how the blocks are sharded.
    spec = partition_spec(x)[0], *[None] * (len(shape) - 2), partition_spec(x)[-1]
    blocks = call_with_auto_axes(lambda x: x.reshape(shape), (x,), spec)
    blocks = blocks[tuple(in_window)]
    axes = tuple(range(2, 2 * windows.ndim + 1, 2))
    return jnp.sum(blocks, axis=axes, dtype=x.dtype)


def sums_by_reduce_window(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums over windows by `jax.lax.reduce_window`, axis by axis.

    A window of 7 by 7 then takes 14 additions for each output instead of 49.
    """
    x = padded_for_windows(x, windows, mode, fill=0)
    x = for_reduce_window(x, windows)
    for axis in reversed(range(1, windows.ndim + 1)):
        window, strides, dilation = [1] * x.ndim, [1] * x.ndim, [1] * x.ndim
        window[axis] = windows.window[axis - 1]
        strides[axis] = windows.strides[axis - 1]
        dilation[axis] = windows.dilation[axis - 1]
        if window[axis] == 1:
            x = jax.lax.slice(x, [0] * x.ndim, x.shape, strides)
            continue
        x = jax.lax.reduce_window(
            x,
            np.zeros((), x.dtype)[()],
            jax.lax.add,
            window,
            strides,
            "VALID",
            window_dilation=dilation,
        )
    return x


def logsumexps_by_shifts(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the log-sum-exps over windows, axis by axis, from shifted slices of `x`.

    Each axis reduces the log-sum-exps of the axis before. The maximum is subtracted
    before exponentials are taken, so that none overflows.
    """
    x = padded_for_windows(x, windows, mode, fill=-jnp.inf)
    for axis in reversed(range(windows.ndim)):
        offsets = exact_offsets(windows.window[axis])
        for stage in axis_stages(windows, axis, offsets, mode):
            x = _logsumexp(x, stage)
    return x


# The checkpoint computes the exponentials again for the derivative. As residuals they
# would be as large as the input times the number of offsets.
@functools.partial(jax.checkpoint, static_argnums=1)
def _logsumexp(x: jax.Array, stage: Stage) -> jax.Array:
    slices = shifted_slices(x, stage)
    # The result does not depend on what is subtracted, so neither does the derivative.
    largest = jax.lax.stop_gradient(functools.reduce(jnp.maximum, slices))
    # An infinite maximum is the result whatever the other elements are.
    infinite = jnp.isinf(largest)
    subtracted = jnp.where(infinite, 0, largest)
    terms = [jnp.exp(jnp.where(infinite, 0, part - subtracted)) for part in slices]
    return jnp.where(
        infinite, largest, subtracted + jnp.log(functools.reduce(jnp.add, terms))
    )
