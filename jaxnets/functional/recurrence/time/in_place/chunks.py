"""Chunks of time, each of which has its own loop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.time.options import Masks


class Loops(NamedTuple):
    """How the loops run over `x`.

    Attributes:
        axis: The time axis of `x`, 0 or 1.
        reverse: Whether the last step is computed first.
        unroll: Number of steps in one iteration of a compiled loop.
        count: Number of chunks.
    """

    axis: int
    reverse: bool
    unroll: int
    count: int


def chunk_count(time: int) -> int:
    """Return the number of chunks for so many steps.

    With a single chunk, the products of all steps cannot run at the same time as the
    loop; many chunks take long to compile. So there are at most six, of at least 16
    steps each.
    """
    return max(1, min(6, time // 16))


class Chunk(NamedTuple):
    """The steps of one loop: from `start` to before `stop`."""

    start: int
    stop: int


def chunks_in_order(loops: Loops, time: int) -> list[Chunk]:
    """Return the chunks of all steps, in the order in which they are computed."""
    bounds = [time * index // loops.count for index in range(loops.count + 1)]
    cut = list(map(Chunk, bounds[:-1], bounds[1:]))
    return cut[::-1] if loops.reverse else cut


def slice_chunk(array: jax.Array, chunk: Chunk, axis: int) -> jax.Array:
    """Return the steps of a chunk, time first; `array` has them on `axis`."""
    return jnp.moveaxis(jax.lax.slice_in_dim(array, *chunk, axis=axis), axis, 0)


def scan_chunk(
    step: Callable[[Any, jax.Array, Masks], tuple[Any, dict[str, Any]]],
    carry: Any,
    masks: Masks,
    chunk: Chunk,
    loops: Loops,
    *,
    descending: bool,
) -> tuple[Any, dict[str, Any]]:
    """Scan `step(carry, t, masks_t)` over a chunk, from its end if `descending`."""

    def counted(carry, masks_t):
        # A counter, so that the loop reads no array of step numbers.
        count, carry = carry
        t = chunk.stop - 1 - count if descending else chunk.start + count
        carry, logs = step(carry, t, masks_t)
        return (count + 1, carry), logs

    (_, carry), logs = jax.lax.scan(
        counted,
        (jnp.zeros((), jnp.int32), carry),
        jax.tree.map(lambda mask: mask[slice(*chunk)], masks),
        length=chunk.stop - chunk.start,
        reverse=descending,
        unroll=loops.unroll,
    )
    return carry, logs
