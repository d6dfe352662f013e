"""Time cut into stretches, of which each is a loop of its own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.time.options import Masks


class Walk(NamedTuple):
    """How the loops walk through `x`.

    Attributes:
        axis: The time axis, 0 or 1 of three.
        reverse: Whether the last step is computed first.
        unroll: Steps in one iteration of a compiled loop.
        count: Number of stretches, of which each is a loop.
    """

    axis: int
    reverse: bool
    unroll: int
    count: int


def stretch_count(time: int) -> int:
    """Return into how many stretches to cut the steps of a program.

    Of one stretch the products wait for the loop, of many there is much to compile:
    more than six gained little. Loops of less than 16 steps lose more than they gain.
    """
    return max(1, min(6, time // 16))


class Stretch(NamedTuple):
    """The steps of one loop: from `start` to before `stop`."""

    start: int
    stop: int


def stretches(walk: Walk, time: int) -> list[Stretch]:
    """Cut all steps into stretches, in the order in which they are computed."""
    bounds = [time * index // walk.count for index in range(walk.count + 1)]
    cut = list(map(Stretch, bounds[:-1], bounds[1:]))
    return cut[::-1] if walk.reverse else cut


def part_of(array: jax.Array, stretch: Stretch, axis: int) -> jax.Array:
    """Return the steps of a stretch, which lie on `axis`, on the first one."""
    return jnp.moveaxis(jax.lax.slice_in_dim(array, *stretch, axis=axis), axis, 0)


def scan_stretch(
    step: Callable[[Any, jax.Array, Masks], tuple[Any, dict[str, Any]]],
    carry: Any,
    masks: Masks,
    stretch: Stretch,
    walk: Walk,
    *,
    descending: bool,
) -> tuple[Any, dict[str, Any]]:
    """Scan `step(carry, t, masks_t)` over a stretch, the last first if `descending`."""

    def counted(carry, masks_t):
        # A counter is cheaper than the numbers of all steps, read one by one.
        count, carry = carry
        t = stretch.stop - 1 - count if descending else stretch.start + count
        carry, logs = step(carry, t, masks_t)
        return (count + 1, carry), logs

    (_, carry), logs = jax.lax.scan(
        counted,
        (jnp.zeros((), jnp.int32), carry),
        jax.tree.map(lambda mask: mask[slice(*stretch)], masks),
        length=stretch.stop - stretch.start,
        reverse=descending,
        unroll=walk.unroll,
    )
    return carry, logs
