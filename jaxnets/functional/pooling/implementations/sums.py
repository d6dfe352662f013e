"""Sums over windows: tap by tap if they are small, by a reshape, by `reduce_window`."""

import functools
import itertools
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.functional.pooling.implementations.stages import (
    Stage,
    exact_taps,
    fold_stages,
    tap_slices,
    whole_stages,
)
from jaxnets.functional.pooling.options import (
    PoolWindows,
    cover,
    fit_axis,
    shown_padded,
    without_further_windows,
)


def sums_by_taps(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums over windows by adding one slice of `x` per element of a window.

    XLA makes one pass over the data of it, and of the derivative too.
    """
    x = cover(x, windows, mode, fill=0)
    if not windows.overlap:
        return functools.reduce(jnp.add, tap_slices(x, *whole_stages(windows, mode)))
    # What `tap_slices` transposes to XLA would not make one pass of, for windows that
    # overlap: it took twice as long as slices with strides.
    steps = zip(windows.window, windows.dilation, strict=True)
    offsets = itertools.product(*(range(0, k * d, d) for k, d in steps))
    strides = (1, *windows.strides, 1)
    axes = zip(windows.out, windows.strides, strict=True)
    spans = [(out - 1) * stride + 1 for out, stride in axes]

    def tap(offset: tuple[int, ...]) -> jax.Array:
        ends = map(operator.add, offset, spans)
        limits = (x.shape[0], *ends, x.shape[-1])
        return jax.lax.slice(x, (0, *offset, 0), limits, strides)

    return functools.reduce(jnp.add, map(tap, offsets))


def sums_by_reshape(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums over windows that do not overlap.

    An axis of `out * stride` elements becomes two, `(out, stride)`, and the sum runs
    over the elements of the window at the start of the second one.
    """
    x = cover(x, windows, mode, fill=0)
    shape, kept = [x.shape[0]], [slice(None)]
    for axis in range(windows.ndim):
        stride, dilation = windows.strides[axis], windows.dilation[axis]
        x = fit_axis(x, axis + 1, windows.out[axis] * stride)
        shape += [windows.out[axis], stride]
        kept += [slice(None), slice(0, dilation * windows.window[axis], dilation)]
    blocks = x.reshape((*shape, x.shape[-1]))[tuple(kept)]
    within = tuple(range(2, 2 * windows.ndim + 1, 2))
    return jnp.sum(blocks, axis=within, dtype=x.dtype)


def sums_by_reduce_window(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the sums over any windows, axis by axis.

    A window of 7 by 7 then costs 14 additions for each output instead of 49.
    """
    x = cover(x, windows, mode, fill=0)
    x = shown_padded(without_further_windows(x, windows), windows)
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


def logsumexps_by_taps(
    x: Shaped[Array, "batch *spatial channels"], windows: PoolWindows, mode: str
) -> Shaped[Array, "batch *out channels"]:
    """Return the log-sum-exps over windows by folding slices of `x`, axis by axis."""
    x = cover(x, windows, mode, fill=-jnp.inf)
    for axis in reversed(range(windows.ndim)):
        taps = exact_taps(windows.window[axis])
        for stage in fold_stages(windows, axis, taps, mode):
            x = _logsumexp(x, stage)
    return x


# It takes the exponentials again for the derivative: kept, they are the input as often
# as the window has taps on an axis. For 3 by 3 at stride 1 that took 1.6 times as long;
# for 2 by 2 a seventh less, and twice the memory.
@functools.partial(jax.checkpoint, static_argnums=1)
def _logsumexp(x: jax.Array, stage: Stage) -> jax.Array:
    taps = tap_slices(x, stage)
    # Any shift gives the same sum, so that it takes no part in the derivative.
    largest = jax.lax.stop_gradient(functools.reduce(jnp.maximum, taps))
    # Infinity stays, whatever the other taps are: the derivative is zero.
    infinite = jnp.isinf(largest)
    shift = jnp.where(infinite, 0, largest)
    terms = [jnp.exp(jnp.where(infinite, 0, tap - shift)) for tap in taps]
    return jnp.where(
        infinite, largest, shift + jnp.log(functools.reduce(jnp.add, terms))
    )
