"""Time cut into segments, each of which is recomputed in the backward pass.

An array with the batch first is never transposed as a whole. Each segment is sliced,
transposed and run, and its outputs are written to their positions. So beside arguments
and results a program stores the states between segments and the residuals of one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.time.options import Masks, ScanOptions
from jaxnets.tap import scope


# Takes a state and what lies over time, time first: xs, masks and draws; returns the
# state and the outputs, time first.
Scan = Callable[[Any, Any, Masks, Any], tuple[Any, Any]]


def in_segments(
    scan: Scan, state: Any, xs: Any, draws: Any, options: ScanOptions
) -> tuple[Any, Any]:
    """Run `scan` over all time, or segment by segment.

    Args:
        scan: The scan of a part of time.
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
        return state, jax.tree.map(lambda y: _restored(y, options.time_axis), ys)

    if options.segment is None:
        return run_part(state, xs, options.masks, draws)

    def segment_of(steps: int) -> Callable[[Any, Any], tuple[Any, Any]]:
        """Return a function of a state and of the step that its segment begins with."""

        def run(state: Any, start: Any) -> tuple[Any, Any]:
            at = lambda axis: (
                lambda a: jax.lax.dynamic_slice_in_dim(a, start, steps, axis)
            )
            own = jax.tree.map(at(options.time_axis), xs)
            return run_part(state, own, *jax.tree.map(at(0), (options.masks, draws)))

        return run

    return _segment_by_segment(segment_of, state, xs, options, options.segment)


def zero_unless(mask: jax.Array, tree: Any) -> Any:
    """Put zero where `mask`, which has the leading axes of all arrays, is false."""
    return jax.tree.map(
        lambda a: jnp.where(broadcastable(mask, a), a, jnp.zeros_like(a)), tree
    )


def broadcastable(mask: jax.Array, array: jax.Array) -> jax.Array:
    """Return `mask` with axes of size 1 for those that `array` has behind its own."""
    return mask.reshape(mask.shape + (1,) * (jnp.ndim(array) - mask.ndim))


def _segment_by_segment(segment_of, state, xs, options: ScanOptions, segment: int):
    """Scan whole segments and then the shorter rest, and recompute each backwards."""
    axis = options.time_axis
    time = jnp.shape(jax.tree.leaves(xs)[0])[axis]
    count, rest = divmod(time, segment)
    _, y = jax.eval_shape(segment_of(min(1, time)), state, 0)
    ys = jax.tree.map(
        lambda y: jnp.zeros((*y.shape[:axis], time, *y.shape[axis + 1 :]), y.dtype), y
    )
    whole = jax.checkpoint(segment_of(segment), prevent_cse=False)

    def body(carry, start):
        state, ys = carry
        state, own = whole(state, start)
        return (state, _put(ys, own, start, axis)), None

    # The rest is what the scan reaches last: the end, or with `reverse` the beginning.
    starts = segment * jnp.arange(count) + (rest if options.reverse else 0)
    if count:
        (state, ys), _ = jax.lax.scan(
            body, (state, ys), starts, reverse=options.reverse
        )
    if rest:
        start = 0 if options.reverse else count * segment
        with scope("rest"):
            state, own = jax.checkpoint(segment_of(rest))(state, start)
        ys = _put(ys, own, start, axis)
    return state, ys


def _put(ys: Any, own: Any, start: Any, axis: int) -> Any:
    """Write a segment's outputs, which begin at step `start`, into `ys`."""

    def put(all_steps: jax.Array, some: jax.Array) -> jax.Array:
        write = lambda array: jax.lax.dynamic_update_slice_in_dim(
            array, some, start, axis
        )
        if not jnp.issubdtype(some.dtype, jnp.inexact):
            return write(all_steps)
        # The transpose of an update copies all cotangents to write zeros into them;
        # the transpose of a sum does not. The compiler adds to this segment only.
        return all_steps + write(jnp.zeros_like(all_steps))

    return jax.tree.map(put, ys, own)


def _restored(y: jax.Array, axis: int) -> jax.Array:
    """Move the time axis from the front to where the input has it."""
    if jnp.ndim(y) <= axis:
        raise ValueError(
            f"`step` returns an output of shape {jnp.shape(y)[1:]}; wanted one that "
            f"begins with the {axis} batch axes of the input, or time_major=True."
        )
    return jnp.moveaxis(y, 0, axis)
