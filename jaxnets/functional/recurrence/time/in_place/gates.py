"""The update of a cell, with the results of its gates as the only residuals.

The forward pass stores the result of each gate in the slot of its pre-activation. In
the backward pass, JAX differentiates the same equations with the stored gates: the
derivative of an activation follows from its result, so no pre-activation is needed.
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
    """Return the new state, the output, and the arrays to store for each part.

    These are, for each block of the part, the gate of that name, or the block itself if
    there is no such gate.
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
    # All slots are read before one is written.
    stored = barrier(stored)
    return after, y_t, [[stored[name] for name in part.names] for part in cell.parts]


def pull_back_update(
    cell: BoundCell,
    slots: Sequence[jax.Array],
    state: Any,
    cotangents: tuple[Any, jax.Array],
    taps: tuple[str, ...],
) -> tuple[list[list[jax.Array]], Any, Tapped]:
    """Return the cotangents of the arguments of the update, and its taps.

    Args:
        cell: The cell.
        slots: The arrays that `update_and_store` returned, one for each part.
        state: The state before the step.
        cotangents: The cotangents of the new state and of the output.
        taps: The names of the taps that are measured.

    Returns:
        The cotangents of the blocks of each part, the cotangent of `state`, and the
        value and cotangent of each tap, by name.
    """
    stored = blocks(cell, slots)
    # A probe is zero and added at a tap, so its cotangent is that of the tap.
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

    # `known_result` does not use the pre-activation, so the stored gate is passed.
    _, pullback, values = jax.vjp(update, stored, state, probes, has_aux=True)
    ct_a, ct_state, ct_taps = pullback(cotangents)
    ct_parts = [[ct_a[name] for name in part.names] for part in cell.parts]
    return ct_parts, ct_state, {name: (values[name], ct_taps[name]) for name in taps}
