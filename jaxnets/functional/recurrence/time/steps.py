"""A scan of a step, with padding, resets, truncation and segments.

All loops over time use the functions for the start and the end of a step from this
file, so that `lengths`, `resets` and `truncate` mean the same in all of them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from jaxnets.functional.recurrence.time.options import Masks, ScanOptions
from jaxnets.functional.recurrence.time.segments import (
    broadcastable,
    in_segments,
    zero_unless,
)
from jaxnets.functional.shared.sharding import shard_like


def scan_steps(
    step: Callable[[Any, Any, Any], tuple[Any, Any]],
    state: Any,
    xs: Any,
    options: ScanOptions,
    draws: Any = None,
    prepare: Callable[[Any], Any] = lambda xs: xs,
) -> tuple[Any, Any]:
    """Scan `step(state, x_t, draws_t)` over `prepare(xs)`.

    Args:
        step: Returns the state and an output.
        state: Initial state.
        xs: Pytree of arrays with time at `options.time_axis`.
        options: The scan options.
        draws: Pytree of arrays, time first.
        prepare: A function of many steps at once, time first. With checkpoints it is
            applied to one segment at a time, so its result is never stored for all
            steps.

    Returns:
        The final state, and the outputs with time at `options.time_axis`.
    """
    initial = state

    def masked_step(state, inputs):
        x_t, masks, draws_t = inputs
        start = start_of_step(masks, initial, state)
        after, y_t = step(start, x_t, draws_t)
        return end_of_step(masks, state, after, y_t)

    def scan(state, xs, masks, draws):
        return jax.lax.scan(
            masked_step,
            state,
            (prepare(xs), masks, draws),
            reverse=options.reverse,
            unroll=options.unroll,
        )

    return in_segments(scan, state, xs, draws, options)


def one_step(tree: Any, axis: int = 0) -> Any:
    """Return the abstract arrays of one step, for arrays with time on `axis`."""

    def first(a: jax.Array) -> jax.Array:
        if a.shape[axis] != 0:
            return jax.lax.index_in_dim(a, 0, axis, keepdims=False)
        return jnp.sum(a, axis, dtype=a.dtype)

    return jax.eval_shape(lambda tree: jax.tree.map(first, tree), tree)


def shard_as_returned(
    step: Callable[[Any, Any], tuple[Any, Any]], state: Any, xs: Any, axis: int
) -> Any:
    """Shard a state as the one that `step(state, x_t)` returns, if there is a mesh.

    A state of zeros is not sharded, and does not vary over a mesh. The inputs, or the
    arrays that the step closes over, may.

    Args:
        step: The step.
        state: The initial state.
        xs: Pytree of inputs, with time on `axis`.
        axis: The time axis.
    """
    if all(jax.typeof(a).sharding.mesh.empty for a in jax.tree.leaves((state, xs))):
        return state
    after, _ = jax.eval_shape(step, state, one_step(xs, axis))
    place = lambda a, like: shard_like(a, like, range(like.ndim))
    return jax.tree.map(place, state, after)


def start_of_step(masks: Masks, initial: Any, state: Any) -> Any:
    """Return the state that a step starts from, after cuts and resets."""
    if masks.cuts is not None:
        state = _select(masks.cuts, jax.lax.stop_gradient(state), state)
    return state if masks.resets is None else _select(masks.resets, initial, state)


def end_of_step(masks: Masks, before: Any, after: Any, y_t: Any) -> tuple[Any, Any]:
    """Return state and output of a step; at padding, the old state and zero."""
    if masks.valid is None:
        return after, y_t
    return _select(masks.valid, after, before), zero_unless(masks.valid, y_t)


def _select(mask: Bool[jax.Array, "*batch"], when_true: Any, when_false: Any) -> Any:
    """Choose between two pytrees for each sequence of the batch."""
    return jax.tree.map(
        lambda t, f: jnp.where(broadcastable(mask, t), t, f), when_true, when_false
    )
