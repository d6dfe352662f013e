"""Scans over blocks that store few states and compute the others in the backward pass.

A body is a function `body(x, states) -> (y, outs)` of one block, whose states are a
pytree; the states of all blocks have a leading axis `(count,)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.nn.blocks.binomial import Schedule, schedule
from jaxnets.tap import is_measuring, reverse_only, scope


Body = Callable[[Any, Any], tuple[Any, Any]]


def scan_in_segments(
    body: Body, x: jax.Array, states: Any, segment: int
) -> tuple[jax.Array, Any]:
    """Scan `body`; store the states between segments and recompute within each.

    Args:
        body: The body.
        x: Input of the first block.
        states: The states of all blocks.
        segment: Number of blocks of a segment. The blocks that are left over are a
            shorter segment after the others.
    """
    count = len(jax.tree.leaves(states)[0])
    segments, rest = divmod(count, segment)
    whole = count - rest
    split = lambda a: a[:whole].reshape(segments, segment, *a.shape[1:])
    merge = lambda a: a.reshape(whole, *a.shape[2:])
    run = lambda x, states: jax.lax.scan(body, x, states)
    # In a loop nothing could be merged with the recomputation.
    looped = jax.checkpoint(run, prevent_cse=False)
    x, outs = jax.lax.scan(looped, x, jax.tree.map(split, states))
    outs = jax.tree.map(merge, outs)
    if rest:
        with scope("rest"):
            tail = jax.tree.map(lambda a: a[whole:], states)
            x, last = jax.checkpoint(run)(x, tail)
        outs = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), outs, last)
    return x, outs


class Binomial(NamedTuple):
    """Finds the input of a block from the state in the nearest slot before it.

    Attributes:
        plan: The schedule.
        snapshots: Number of slots. Slot number `snapshots` holds what is not needed.
    """

    plan: Schedule
    snapshots: int

    @classmethod
    def of(cls, count: int, snapshots: int) -> "Binomial":
        """Return the one for `count` blocks."""
        return cls(schedule(count, snapshots), snapshots)

    def converted(self, x: Any, states: Any) -> tuple[Callable[[Any], Any], list[Any]]:
        """Return what makes this object from the arrays it closes over: none."""
        del x, states
        return lambda closed: self, []

    def forward(self, body: Body, x: jax.Array, states: Any) -> tuple[Any, Any, Any]:
        """Scan `body`; return the output, the `outs` and what to store."""

        def step(carry, scanned):
            x, stored = carry
            slot, own = scanned
            y, out = body(x, own)
            return (y, stored.at[slot].set(x)), out

        stored = jnp.zeros((self.snapshots + 1, *x.shape), x.dtype)
        xs = jnp.asarray(self.plan.forward), states
        (y, stored), outs = jax.lax.scan(step, (x, stored), xs)
        return y, outs, stored

    def before(
        self, body: Body, number: jax.Array, stored: Any, states: Any
    ) -> tuple[jax.Array, Any]:
        """Return the input of block `number`, and what is stored from then on."""
        slot, start, offset = (
            jnp.asarray(array)[number]
            for array in (self.plan.slots, self.plan.starts, self.plan.offsets)
        )

        def advance(i, carry):
            x, stored = carry
            y, _ = body(x, _of_block(states, start + i))
            saved = jnp.asarray(self.plan.saves)[offset + i]
            return y, stored.at[saved].set(y)

        return jax.lax.fori_loop(0, number - start, advance, (stored[slot], stored))


class Inverse(NamedTuple):
    """Finds the input of a block from its output.

    Attributes:
        inverse: `inverse(y, states) -> x` of one block.
    """

    inverse: Callable[[Any, Any], Any]

    def converted(self, x: Any, states: Any) -> tuple[Callable[[Any], Any], list[Any]]:
        """Return what makes this object from the arrays it closes over, and these."""
        inverse, closed = jax.closure_convert(self.inverse, x, states)
        bound = lambda closed: lambda y, states: inverse(y, states, *closed)
        return lambda closed: Inverse(bound(closed)), closed

    def forward(self, body: Body, x: jax.Array, states: Any) -> tuple[Any, Any, Any]:
        """Scan `body`; return the output, the `outs` and what to store."""
        y, outs = jax.lax.scan(body, x, states)
        return y, outs, y

    def before(
        self, body: Body, number: jax.Array, stored: Any, states: Any
    ) -> tuple[jax.Array, Any]:
        """Return the input of block `number`, which is stored from then on."""
        del body
        x = self.inverse(stored, _of_block(states, number))
        return x, x


def scan_recomputed(
    body: Body, x: jax.Array, states: Any, recovery: Binomial | Inverse, message: str
) -> tuple[jax.Array, Any]:
    """Scan `body`; find the input of each block by `recovery` in the backward pass.

    Args:
        body: The body. It may close over arrays, which receive their gradients.
        x: Input of the first block.
        states: The states of all blocks.
        recovery: How to find the input of a block.
        message: The error of forward mode, which is not supported.
    """
    leaves, structure = jax.tree.flatten(states)
    is_float = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

    def whole(floats: list[Any], others: list[Any]) -> Any:
        sources = {True: iter(floats), False: iter(others)}
        return jax.tree.unflatten(structure, [next(sources[f]) for f in is_float])

    one = jax.eval_shape(lambda x, states: (x, _of_block(states, 0)), x, states)
    converted, closed = jax.closure_convert(body, *one)
    bound = lambda closed: lambda x, states: converted(x, states, *closed)
    recovered, read = recovery.converted(*one)
    measured = is_measuring()

    @jax.custom_vjp
    def run(x, floats, others, closed, read):
        return jax.lax.scan(bound(closed), x, whole(floats, others))

    def forward(x, floats, others, closed, read):
        states = whole(floats, others)
        y, outs, stored = recovered(read).forward(bound(closed), x, states)
        return (y, outs), (stored, floats, others, closed, read)

    def backward(residuals, cotangents) -> Any:
        stored, floats, others, closed, read = residuals
        ct_y, ct_outs = cotangents

        def step(carry, scanned):
            stored, ct_y, ct_closed = carry
            number, ct_out = scanned
            states = whole(floats, others)
            x, stored = recovered(read).before(bound(closed), number, stored, states)
            own = lambda leaves: [leaf[number] for leaf in leaves]

            def block(x, floats, closed):
                y, out = converted(x, whole(floats, own(others)), *closed)
                return y, _floats_of(out)

            _, pull = jax.vjp(block, x, own(floats), closed)
            pulled = pull.with_logs if measured else lambda ct: (pull(ct), {})
            (ct_x, ct_floats, ct_own), logs = pulled((ct_y, ct_out))
            ct_closed = jax.tree.map(jnp.add, ct_closed, ct_own)
            return (stored, ct_x, ct_closed), (ct_floats, logs)

        count = len(leaves[0])
        zeros = jax.tree.map(jnp.zeros_like, closed)
        (_, ct_x, ct_closed), (ct_floats, logs) = jax.lax.scan(
            step,
            (stored, ct_y, zeros),
            (jnp.arange(count), _floats_of(ct_outs)),
            reverse=True,
        )
        gradients = ct_x, ct_floats, None, ct_closed, None
        return (gradients, logs) if measured else gradients

    (run.defvjp_with_logs if measured else run.defvjp)(forward, backward)
    floats = [leaf for leaf, f in zip(leaves, is_float, strict=True) if f]
    others = [leaf for leaf, f in zip(leaves, is_float, strict=True) if not f]
    x, floats, closed = reverse_only((x, floats, closed), message)
    return run(x, floats, others, closed, read)


def _of_block(states: Any, number: Any) -> Any:
    return jax.tree.map(lambda array: array[number], states)


def _floats_of(tree: Any) -> list[Any]:
    """Return the leaves that have a gradient."""
    is_float = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.inexact)
    return [leaf for leaf in jax.tree.leaves(tree) if is_float(leaf)]
