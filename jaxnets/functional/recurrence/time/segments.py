"""Scans over segments of time, each of which is recomputed in the backward pass.

Each segment is sliced from the inputs, transposed and run, and its outputs are written
into the array of all outputs. So no copy of all inputs is made. Beside its arguments
and results, a program stores the states between segments and the residuals of one
segment.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.time.options import Masks, ScanOptions
from jaxnets.functional.shared.sharding import shard_like
from jaxnets.tap import scope


# `scan(state, xs, masks, draws) -> (state, ys)`; all but the states have time first.
Scan = Callable[[Any, Any, Masks, Any], tuple[Any, Any]]


def in_segments(
    scan: Scan, state: Any, xs: Any, draws: Any, options: ScanOptions
) -> tuple[Any, Any]:
    """Run `scan` over all steps, or over one segment after another.

    Args:
        scan: Scans a part of the steps.
        state: Initial state.
        xs: Pytree of arrays with time at `options.time_axis`. Padding is replaced by
            zero.
        draws: Pytree of arrays, time first.
        options: The scan options.

    Returns:
        The final state, and the outputs with time at `options.time_axis`.
    """

    def run_part(state: Any, xs: Any, masks: Masks, draws: Any) -> tuple[Any, Any]:
        first = jax.tree.map(lambda x: jnp.moveaxis(x, options.time_axis, 0), xs)
        if masks.valid is not None:
            first = zero_unless(masks.valid, first)
        state, ys = scan(state, first, masks, draws)
        return state, jax.tree.map(lambda y: _move_time_back(y, options.time_axis), ys)

    if options.segment is None:
        return run_part(state, xs, options.masks, draws)

    def segment_of(steps: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
        """Return a function of the state and the first step of a segment."""

        def run(state: Any, start: Any) -> tuple[Any, Any]:
            at = lambda axis: (
                lambda a: jax.lax.dynamic_slice_in_dim(a, start, steps, axis)
            )
            own = jax.tree.map(at(options.time_axis), xs)
            return run_part(state, own, *jax.tree.map(at(0), (options.masks, draws)))

        return run

    return _segment_by_segment(segment_of, state, xs, options, options.segment)


def zero_unless(mask: jax.Array, tree: Any) -> Any:
    """Replace by zero where `mask` is false; it has the first axes of all arrays."""
    return jax.tree.map(
        lambda a: jnp.where(broadcastable(mask, a), a, jnp.zeros_like(a)), tree
    )


def broadcastable(mask: jax.Array, array: jax.Array) -> jax.Array:
    """Append axes of size 1 to `mask`, so that it has as many as `array`."""
    return mask.reshape(mask.shape + (1,) * (jnp.ndim(array) - mask.ndim))


def _segment_by_segment(segment_of, state, xs, options: ScanOptions, segment: int):
    """Scan the segments, then the shorter rest; recompute each in the backward pass."""
    axis = options.time_axis
    time = jnp.shape(jax.tree.leaves(xs)[0])[axis]
    count, rest = divmod(time, segment)
    _, y = jax.eval_shape(segment_of(1 if count or rest else 0), state, 0)
    ys = jax.tree.map(lambda y: _zeros_for_steps(y, time, axis), y)
    whole = jax.checkpoint(segment_of(segment), prevent_cse=False)

    def body(carry, start):
        state, ys = carry
        state, own = whole(state, start)
        return (state, _write_segment(ys, own, start, axis)), None

    # The rest is computed last: it is at the end or, with `reverse`, at the beginning.
    starts = segment * jnp.arange(count) + (rest if options.reverse else 0)
    if count:
        (state, ys), _ = jax.lax.scan(
            body, (state, ys), starts, reverse=options.reverse
        )
    if rest:
        start = 0 if options.reverse else count * segment
        with scope("rest"):
            state, own = jax.checkpoint(segment_of(rest))(state, start)
        ys = _write_segment(ys, own, start, axis)
    return state, ys


def _zeros_for_steps(y: Any, time: Any, axis: int) -> jax.Array:
    """Return zeros as `y`, which is abstract, with `time` steps on `axis`."""
    zeros = jnp.zeros((*y.shape[:axis], time, *y.shape[axis + 1 :]), y.dtype)
    return shard_like(zeros, y, range(y.ndim))


def _write_segment(ys: Any, own: Any, start: Any, axis: int) -> Any:
    """Write the outputs of the segment from step `start` on into `ys`."""

    def put(all_steps: jax.Array, some: jax.Array) -> jax.Array:
        write = lambda array: jax.lax.dynamic_update_slice_in_dim(
            array, some, start, axis
        )
        if not jnp.issubdtype(some.dtype, jnp.inexact):
            return write(all_steps)
        # The transpose of an update would copy the cotangents of all steps, to write
        # zeros into them; the transpose of a sum does not. XLA adds only this segment.
        return all_steps + write(jnp.zeros_like(all_steps))

    return jax.tree.map(put, ys, own)


def _move_time_back(y: jax.Array, axis: int) -> jax.Array:
    """Move the time axis from the front to the time axis of the input."""
    if jnp.ndim(y) <= axis:
        raise ValueError(
            f"`step` returns an output of shape {jnp.shape(y)[1:]}; wanted one that "
            f"begins with the {axis} batch axes of the input. For outputs without "
            "them, put time first and pass time_major=True."
        )
    return jnp.moveaxis(y, 0, axis)
