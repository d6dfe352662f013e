"""The update of a cell, with the results of its gates as the only residuals.

On the way forward each gate's result is stored in the slot of its pre-activation. On
the way back the same equations are differentiated by JAX, with the stored results for
the gates: the slope of an activation follows from its result, so that no pre-activation
is needed.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.activations import from_result, known_result
from jaxnets.functional.recurrence.cell import BoundCell, Hooks, blocks
from jaxnets.functional.recurrence.cell_options import Draws
from jaxnets.functional.recurrence.time.in_place.slots import barrier
from jaxnets.tap import Tapped


def update_and_store(
    cell: BoundCell, parts: tuple[jax.Array, ...], state: Any
) -> tuple[Any, jax.Array, list[list[jax.Array]]]:
    """Return the new state, the output, and what to store in the slots of each part.

    A slot stores, for each block of its part, the result of the gate of that name, or
    the block itself if there is no such gate.
    """
    a = blocks(cell, parts)
    stored = {name: barrier(a[name]) for name in a if name not in cell.kind.gates}

    def activate(option: str, a_gate: jax.Array, name: str | None = None) -> jax.Array:
        result = getattr(cell.options, option)(a_gate)
        if name is not None:
            result = stored[name] = barrier(result)
        return result

    hooks = Hooks(activate, lambda x, name: x)
    after, y_t = cell.update(cell.other_params, a | stored, state, Draws(), hooks)
    # No slot is written before all have been read.
    stored = barrier(stored)
    return after, y_t, [[stored[name] for name in part.names] for part in cell.parts]


def pull_back_update(
    cell: BoundCell,
    slots: Sequence[jax.Array],
    state: Any,
    cotangents: tuple[Any, jax.Array],
    taps: tuple[str, ...],
) -> tuple[list[list[jax.Array]], Any, Tapped]:
    """Pull cotangents of the new state and the output back through the update.

    Args:
        cell: The cell.
        slots: What `update_and_store` stored, one array for each part.
        state: The state before the step.
        cotangents: Of the new state and of the output.
        taps: The names of the taps that are measured; empty if nothing measures.

    Returns:
        The cotangents of the blocks of each part, that of `state`, and by the name of
        each tap its value and its cotangent.
    """
    stored = blocks(cell, slots)
    # The cotangent of a probe, which is zero and added at a tap, is that of the tap.
    probes = dict.fromkeys(taps, jnp.zeros_like(next(iter(stored.values()))))

    def update(a: dict[str, jax.Array], state: Any, probes: dict[str, jax.Array]):
        values: dict[str, jax.Array] = {}

        def activate(option: str, a_gate: jax.Array, name: str | None = None):
            activation = getattr(cell.options, option)
            if name is None:
                return from_result(activation)(a_gate)
            return known_result(activation, a_gate, stored[name])

        def tap(x: jax.Array, name: str) -> jax.Array:
            if name not in probes:
                return x
            values[name] = x
            return x + probes[name]

        hooks = Hooks(activate, tap)
        return cell.update(cell.other_params, a, state, Draws(), hooks), values

    # Where a gate's result is known its pre-activation is not read: any value serves.
    _, pullback, values = jax.vjp(update, stored, state, probes, has_aux=True)
    ct_a, ct_state, ct_taps = pullback(cotangents)
    ct_parts = [[ct_a[name] for name in part.names] for part in cell.parts]
    return ct_parts, ct_state, {name: (values[name], ct_taps[name]) for name in taps}
