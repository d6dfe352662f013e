"""The transpose of a maximum over windows, by XLA's `select_and_scatter`.

It adds each cotangent to the element of the window that a comparison selects. By XLA's
specification it compares only elements that are not padding, always an earlier one with
a later one, so it can select the first maximum. On TPUs XLA adds in a fixed order. On
GPUs it adds with atomics, and on CPUs it compares the elements of padded windows in
another order, so the maximum has other implementations there.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Shaped

from jaxnets.functional.pooling.options import PoolWindows
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.sharding import match_varying_axes


# The elements of a TPU's tile along the last axis in memory.
_LANES = 128


def add_to_first_maxima(
    cotangent: jax.Array, x: jax.Array, windows: PoolWindows
) -> jax.Array:
    """Add the cotangent of each window to its first maximum."""
    # What happens to a window that has only padding is not specified.
    cotangent, windows = _without_empty_windows(cotangent, windows)
    if not math.prod(cotangent.shape):
        return jnp.zeros_like(x)
    return _first_maxima.bind(cotangent, x, windows=windows)


def _alone(cotangent: jax.Array, x: jax.Array, windows: PoolWindows) -> jax.Array:
    """Select in a program for one device, or for each device of `jax.shard_map`."""
    # Nothing is added up unless windows overlap.
    dtype = accumulation_dtype(x.dtype) if windows.overlap else x.dtype
    cotangent, x = (in_layout_of_windows(a, windows) for a in (cotangent, x))
    added = _scattered(cotangent.astype(dtype), x.astype(dtype), windows, _is_first)
    return added.astype(x.dtype)


def in_layout_of_windows(
    x: Shaped[Array, "..."], windows: PoolWindows
) -> Shaped[Array, "..."]:
    """Return `x (*batch, *spatial, channels)` in the layout in which TPUs reduce.

    If windows overlap, XLA for TPUs copies `x` to a layout with batch and channels, the
    axes without windows, in its tiles. The value and the transpose share this copy if
    the program asks for it. The barrier keeps a conversion to float32 out of the copy:
    the kernel that selects and adds converts what it reads.

    Where the batch fills the lanes better than the channels, XLA has it last and copies
    nothing. Then `x` is returned as it is, and in programs that are exported, where JAX
    allows no layouts.
    """
    return _layout.bind(x, ndim=windows.ndim) if windows.overlap else x


def _with_layout(x: jax.Array, ndim: int) -> jax.Array:
    first = x.ndim - 1 - ndim
    batch, channels = math.prod(x.shape[:first]), x.shape[-1]
    if _padded(batch) * channels < _padded(channels) * batch:
        return x
    spatial = range(first, x.ndim - 1)
    layout = Layout(major_to_minor=(*spatial, *range(first), x.ndim - 1))
    return jax.lax.optimization_barrier(with_layout_constraint(x, layout))


def _lower_layout(ctx, x, *, ndim: int):
    if ctx.module_context.lowering_parameters.for_export:
        return [x]
    run = functools.partial(_with_layout, ndim=ndim)
    return mlir.lower_fun(run, multiple_results=False)(ctx, x)


def _batch_layout(arguments, axes, *, ndim: int):
    (x,), (axis,) = arguments, axes
    return _layout.bind(jnp.moveaxis(x, axis, 0), ndim=ndim), 0


_layout = Primitive("layout_of_windows")
_layout.def_impl(lambda x, ndim: x)
_layout.def_abstract_eval(lambda x, ndim: x)
ad.deflinear2(_layout, lambda cotangent, x, ndim: (cotangent,))
batching.primitive_batchers[_layout] = _batch_layout
mlir.register_lowering(_layout, _lower_layout)


def _padded(size: int) -> int:
    """Return the length of an axis in memory if a TPU has it last."""
    return -(-size // _LANES) * _LANES


def _partitioned(cotangent: jax.Array, x: jax.Array, windows: PoolWindows) -> jax.Array:
    """Select in a program that XLA partitions over several devices.

    XLA partitions `select_and_scatter` only if it selects by a plain comparison;
    otherwise it gathers the whole batch on every device. A plain comparison never takes
    NaN for the maximum. So NaN is replaced by infinity, and each positive number by the
    next smaller one, so that infinity stands for NaN alone. The smallest positive
    number becomes equal to zero; TPUs take both for zero.
    """
    wide = x.astype(accumulation_dtype(x.dtype))
    bits = jax.lax.bitcast_convert_type(wide, f"int{jnp.finfo(wide.dtype).bits}")
    smaller = jax.lax.bitcast_convert_type(bits - 1, wide.dtype)
    ordered = jnp.where(wide > 0, smaller, wide)
    ordered = jnp.where(jnp.isnan(wide), jnp.inf, ordered)
    added = _scattered(cotangent.astype(wide.dtype), ordered, windows, jax.lax.ge)
    return added.astype(x.dtype)


def _scattered(
    cotangent: jax.Array, x: jax.Array, windows: PoolWindows, select: Callable[..., Any]
) -> jax.Array:
    ones = (1,) * (x.ndim - 1 - windows.ndim)
    zero = jnp.zeros((), x.dtype)
    selected, added = (jax.make_jaxpr(f)(zero, zero) for f in (select, jax.lax.add))
    return jax.lax.select_and_scatter_p.bind(
        *match_varying_axes(x, cotangent, zero),
        select_jaxpr=selected,
        select_consts=(),
        scatter_jaxpr=added,
        scatter_consts=(),
        window_dimensions=(*ones, *windows.window, 1),
        window_strides=(*ones, *windows.strides, 1),
        padding=(*((0, 0) for _ in ones), *windows.covering_pairs, (0, 0)),
    )


def _lower(ctx, *operands, windows: PoolWindows):
    axes = ctx.module_context.axis_context
    if isinstance(axes, mlir.SPMDAxisContext):
        partitioned = set(axes.mesh.axis_names) != set(axes.manual_axes)
    else:
        partitioned = axes.num_devices > 1
    run = functools.partial(_partitioned if partitioned else _alone, windows=windows)
    return mlir.lower_fun(run, multiple_results=False)(ctx, *operands)


def _abstract_eval(*avals, windows: PoolWindows):
    run = functools.partial(_alone, windows=windows)
    (result,) = jax.make_jaxpr(run)(*avals).out_avals
    return result


def _batch(arguments, axes, *, windows: PoolWindows):
    pairs = list(zip(arguments, axes, strict=True))
    size = next(a.shape[axis] for a, axis in pairs if axis is not None)
    fronts = [batching.bdim_at_front(a, axis, size) for a, axis in pairs]
    return _first_maxima.bind(*fronts, windows=windows), 0


_first_maxima = Primitive("first_maxima")
_first_maxima.def_impl(jax.jit(_alone, static_argnames="windows"))
_first_maxima.def_abstract_eval(_abstract_eval)
batching.primitive_batchers[_first_maxima] = _batch
mlir.register_lowering(_first_maxima, _lower)


def _is_first(earlier: jax.Array, later: jax.Array) -> jax.Array:
    """Return whether of two elements of a window the earlier one is the maximum.

    A NaN is larger than every number, and no number is larger than a NaN.
    """
    return (earlier >= later) | (earlier != earlier)


def _without_empty_windows(
    cotangent: jax.Array, windows: PoolWindows
) -> tuple[jax.Array, PoolWindows]:
    """Leave out the windows at the start and end of each axis that have no element."""
    out, pairs = list(windows.out), list(windows.pairs)
    for axis, (low, high) in enumerate(windows.pairs):
        k, stride = windows.window[axis], windows.strides[axis]
        first = min(max(-(-(low - k + 1) // stride), 0), out[axis])
        end = max(min(-(-(low + windows.sizes[axis]) // stride), out[axis]), first)
        cotangent = jax.lax.slice_in_dim(cotangent, first, end, axis=axis + 1)
        out[axis], pairs[axis] = end - first, (low - first * stride, high)
    return cotangent, windows._replace(out=tuple(out), pairs=tuple(pairs))
