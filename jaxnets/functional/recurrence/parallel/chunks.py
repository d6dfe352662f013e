"""Chunks of time that run side by side, and the search for their start states."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.sharding import match_varying_axes


class Chunks(NamedTuple):
    """A recurrence in K chunks of L steps.

    Attributes:
        step: The step of one chunk.
        state: The start of the first chunk.
        inputs: The inputs `(L, K, ...)`, and a mask `(L, K)` that is false at padding,
            or None if there is none.
    """

    step: Callable[[Any, Any], tuple[Any, Any]]
    state: Any
    inputs: Any

    def run(self, starts: Any) -> tuple[Any, Any]:
        """Run all chunks side by side from `starts`."""
        return jax.lax.scan(jax.vmap(self.masked_step), starts, self.inputs)

    def run_one(self, start: Any, index: Any) -> Any:
        """Return the end of one chunk."""
        inputs = jax.tree.map(lambda a: a[:, index], self.inputs)
        return jax.lax.scan(self.masked_step, start, inputs)[0]

    def masked_step(self, state: Any, inputs: Any) -> tuple[Any, Any]:
        """Return state and output of a step; at padding, the old state."""
        x_t, valid_t = inputs
        after, y_t = self.step(state, x_t)
        if valid_t is not None:
            keep = lambda new, old: jnp.where(valid_t, new, old)
            after = jax.tree.map(keep, after, state)
        return after, y_t

    def starts(self, found: Any) -> Any:
        """Return the starts of all chunks, where `found` are those but the first."""
        join = lambda a, b: jnp.concatenate([a[None], b])
        return jax.tree.map(join, self.state, found)

    def passed_on(self, found: Any) -> Any:
        """Return the ends of all chunks but the last: the next starts.

        The last chunk runs too, so that every pass is rounded in the same way.
        """
        return jax.tree.map(lambda a: a[:-1], self.run(self.starts(found))[0])


class Search(NamedTuple):
    """The state of a search for the starts, or for their tangents or cotangents.

    Attributes:
        found: Those of all chunks but the first, `(K-1, ...)`.
        before: The change of `found` by the last update but one.
        change: The change by the last update.
        ratio: The last change divided by the one before it, from the last update at
            which the one before was above the tolerance; NaN if there was none.
        updates: Number of updates: that many of `found` are exact.
    """

    found: Any
    before: jax.Array
    change: jax.Array
    ratio: jax.Array
    updates: jax.Array

    def converged(self, tolerance: float) -> jax.Array:
        """Return whether the starts have changed little twice, or not at all.

        Once is not enough, because the next chunk may multiply a small change. A change
        that is NaN is not small.
        """
        twice = (self.before <= tolerance) & (self.change <= tolerance)
        return twice | (self.change == 0)


def divide(xs: Any, axis: int, count: int, length: int) -> Any:
    """Divide arrays with time on `axis` into chunks `(length, count, ...)`, and mask.

    Padding is before the first step, and repeats its input. So a step at padding
    computes what the first one does, and adds no values or derivatives of its own that
    may not be finite.
    """

    def divided(a: jax.Array) -> jax.Array:
        a = jnp.moveaxis(a, axis, 0)
        first = jnp.broadcast_to(a[:1], (count * length - len(a), *a.shape[1:]))
        a = jnp.concatenate([first, a])
        return jnp.swapaxes(a.reshape(count, length, *a.shape[1:]), 0, 1)

    padding = count * length - jax.tree.leaves(xs)[0].shape[axis]
    steps = jnp.arange(count * length).reshape(count, length).T
    return jax.tree.map(divided, xs), steps >= padding if padding else None


def join(ys: Any, axis: int, time: int) -> Any:
    """Join arrays `(length, count, ...)` over time, which becomes the axis `axis`."""

    def joined(a: jax.Array) -> jax.Array:
        a = jnp.swapaxes(a, 0, 1).reshape(a.shape[0] * a.shape[1], *a.shape[2:])
        return jnp.moveaxis(a[len(a) - time :], 0, axis)

    return jax.tree.map(joined, ys)


def search_starts(chunks: Chunks, count: int, tolerance: float, most: int) -> Search:
    """Update the starts until they have converged, or `most` times."""
    guess = lambda a: jnp.broadcast_to(a, (count - 1, *a.shape))
    found = jax.tree.map(guess, chunks.state)
    return _converge(chunks.passed_on, found, tolerance, most)


def _converge(
    update: Callable[[Any], Any], found: Any, tolerance: float, most: int
) -> Search:
    """Update `found` until it has converged, or `most` times."""

    def goes_on(search: Search) -> jax.Array:
        return (search.updates < most) & ~search.converged(tolerance)

    def advance(search: Search) -> Search:
        found, before = update(search.found), search.change
        change = relative_change(search.found, found)
        ratio = jnp.where(before <= tolerance, search.ratio, change / before)
        return Search(found, before, change, ratio, search.updates + 1)

    unknown = jnp.full_like(relative_change(found, found), jnp.nan)
    search = Search(found, unknown, unknown, unknown, jnp.int32(0))
    return jax.lax.while_loop(goes_on, advance, Search(*match_varying_axes(*search)))


def finish(chunks: Chunks, search: Search, count: int, needed: jax.Array) -> Any:
    """Return the starts, where `needed` after running the chunks one by one."""

    def pass_on(index: jax.Array, found: Any) -> Any:
        start = jax.tree.map(lambda a: a[index], chunks.starts(found))
        put = lambda a, end: a.at[index].set(end)
        return jax.tree.map(put, found, chunks.run_one(start, index))

    first = jnp.where(needed, search.updates, count - 1)
    return jax.lax.fori_loop(first, count - 1, pass_on, search.found)


def differentiable(chunks: Chunks, found: Any, tolerance: float) -> Any:
    """Return `found`, with the derivatives of the starts that the equations define.

    The starts b solve `b - passed_on(b) = 0`. The linear part of `passed_on` moves each
    start by one chunk, so it is nilpotent: as many updates as there are starts solve
    the equations of tangents and of cotangents.
    """
    leaves, structure = jax.tree.flatten(found)
    # Integers have no derivatives, and may not be part of a root.
    real = [is_inexact(leaf) for leaf in leaves]
    if not any(real):
        return found

    def merged(floats: list[Any]) -> Any:
        left = iter(floats)
        pairs = zip(leaves, real, strict=True)
        return structure.unflatten([next(left) if r else a for a, r in pairs])

    def chosen(tree: Any) -> list[Any]:
        pairs = zip(jax.tree.leaves(tree), real, strict=True)
        return [leaf for leaf, r in pairs if r]

    def equations(floats: list[Any]) -> list[Any]:
        after = chosen(chunks.passed_on(merged(floats)))
        return jax.tree.map(operator.sub, floats, after)

    def iterate(matvec: Callable[[Any], Any], y: Any) -> Any:
        def update(x: Any) -> Any:
            return jax.tree.map(lambda y, x, m: y + (x - m), y, x, matvec(x))

        # `y` is what a first update gives, of zeros.
        return _converge(update, y, tolerance, len(leaves[0]) - 1).found

    def tangents(matvec: Callable[[Any], Any], y: Any) -> Any:
        return jax.lax.custom_linear_solve(matvec, y, iterate, transpose_solve=iterate)

    solved = lambda _, guess: guess
    return merged(jax.lax.custom_root(equations, chosen(found), solved, tangents))


def relative_change(old: Any, new: Any) -> jax.Array:
    """Return the largest change, relative to the largest element of its array.

    An array without an order of size, of integers or booleans, counts 1 if it changes.
    """
    pairs = list(zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True))
    wide = any(jnp.finfo(b.dtype).bits == 64 for _, b in pairs if is_inexact(b))
    dtype = jnp.float64 if wide else jnp.float32
    changes = [jnp.zeros((), dtype)]
    for a, b in pairs:
        if not is_inexact(b):
            changes.append(jnp.any(a != b).astype(dtype))
            continue
        a, b = (v.astype(accumulation_dtype(v.dtype)) for v in (a, b))
        change = jnp.max(jnp.abs(b - a), initial=0)
        size = jnp.max(jnp.abs(b), initial=0)
        changes.append(jnp.where(change == 0, 0, change / size).astype(dtype))
    return jnp.max(jnp.stack(changes))


def is_inexact(array: Any) -> bool:
    """Return whether an array has derivatives, as floating-point numbers have."""
    return jnp.issubdtype(array.dtype, jnp.inexact)
