"""Time cut into segments, each of which is computed again on the way back.

An array with the batch first is never turned as a whole: each segment is cut out of it,
turned, and its outputs are put where they belong. So beside arguments and results a
program holds the states between segments, and what one segment needs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.time.options import Masks, ScanPlan
from jaxnets.tap import scope


# Takes a state and what lies over time, time first: xs, masks and draws; returns the
# state and the outputs, time first.
Scan = Callable[[Any, Any, Masks, Any], tuple[Any, Any]]


def in_segments(
    scan: Scan, state: Any, xs: Any, draws: Any, plan: ScanPlan
) -> tuple[Any, Any]:
    """Run `scan` over all time, or segment by segment.

    Args:
        scan: What runs over a stretch of time.
        state: Initial state.
        xs: Pytree of arrays with time at `plan.time_axis`; zero is read where they are
            padding, whatever stands there.
        draws: Pytree of arrays, time first.
        plan: How to walk through time.

    Returns:
        The final state, and the outputs with time at `plan.time_axis`.
    """

    def turned(state: Any, xs: Any, masks: Masks, draws: Any) -> tuple[Any, Any]:
        first = jax.tree.map(lambda x: jnp.moveaxis(x, plan.time_axis, 0), xs)
        if masks.valid is not None:
            first = zero_unless(masks.valid, first)
        state, ys = scan(state, first, masks, draws)
        return state, jax.tree.map(lambda y: _restored(y, plan.time_axis), ys)

    if plan.segment is None:
        return turned(state, xs, plan.masks, draws)

    def stretch(steps: int) -> Callable[[Any, Any], tuple[Any, Any]]:
        """Return a function of a state and of the step that its segment begins with."""

        def run(state: Any, start: Any) -> tuple[Any, Any]:
            at = lambda axis: (
                lambda a: jax.lax.dynamic_slice_in_dim(a, start, steps, axis)
            )
            own = jax.tree.map(at(plan.time_axis), xs)
            return turned(state, own, *jax.tree.map(at(0), (plan.masks, draws)))

        return run

    return _segment_by_segment(stretch, state, xs, plan, plan.segment)


def zero_unless(mask: jax.Array, tree: Any) -> Any:
    """Put zero where `mask`, of the leading axes of all arrays, is false."""
    return jax.tree.map(
        lambda a: jnp.where(broadcastable(mask, a), a, jnp.zeros_like(a)), tree
    )


def broadcastable(mask: jax.Array, array: jax.Array) -> jax.Array:
    """Return `mask` with axes of size 1 for those that `array` has behind its own."""
    return mask.reshape(mask.shape + (1,) * (jnp.ndim(array) - mask.ndim))


def _segment_by_segment(stretch, state, xs, plan: ScanPlan, segment: int):
    """Scan whole segments, then the shorter rest, each computed again backwards."""
    axis = plan.time_axis
    time = jnp.shape(jax.tree.leaves(xs)[0])[axis]
    count, rest = divmod(time, segment)
    _, y = jax.eval_shape(stretch(min(1, time)), state, 0)
    ys = jax.tree.map(
        lambda y: jnp.zeros((*y.shape[:axis], time, *y.shape[axis + 1 :]), y.dtype), y
    )
    whole = jax.checkpoint(stretch(segment), prevent_cse=False)

    def body(carry, start):
        state, ys = carry
        state, own = whole(state, start)
        return (state, _put(ys, own, start, axis)), None

    # The rest is what the scan reaches last: the end, or with `reverse` the beginning.
    starts = segment * jnp.arange(count) + (rest if plan.reverse else 0)
    if count:
        (state, ys), _ = jax.lax.scan(body, (state, ys), starts, reverse=plan.reverse)
    if rest:
        start = 0 if plan.reverse else count * segment
        with scope("rest"):
            state, own = jax.checkpoint(stretch(rest))(state, start)
        ys = _put(ys, own, start, axis)
    return state, ys


def _put(ys: Any, own: Any, start: Any, axis: int) -> Any:
    """Put a segment's outputs, which begin at a step, in their place among zeros."""

    def put(all_steps: jax.Array, some: jax.Array) -> jax.Array:
        place = lambda array: jax.lax.dynamic_update_slice_in_dim(
            array, some, start, axis
        )
        if not jnp.issubdtype(some.dtype, jnp.inexact):
            return place(all_steps)
        # The transpose of an update puts zeros into a copy of all cotangents; that of
        # a sum leaves them alone. The compiler adds to this segment only.
        return all_steps + place(jnp.zeros_like(all_steps))

    return jax.tree.map(put, ys, own)


def _restored(y: jax.Array, axis: int) -> jax.Array:
    """Move the time axis from the front to where the input has it."""
    if jnp.ndim(y) <= axis:
        raise ValueError(
            f"`step` returns an output of shape {jnp.shape(y)[1:]}; wanted one that "
            f"begins with the {axis} batch axes of the input, or time_major=True."
        )
    return jnp.moveaxis(y, 0, axis)
