"""`recur` over inputs with several feature axes, such as the pixels of a film."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.custom_step import Step, recur, run_steps


def recur_over_maps(
    step: Step,
    state: Any,
    x: Any,
    feature_ndim: int,
    *,
    time_major: bool = False,
    **options: Any,
) -> tuple[Any, Any]:
    """Run `recur` over `x (*batch, T, *features)`; all axes of an output but its batch.

    Args:
        step: As in `recur`.
        state: As in `recur`.
        x: An array, or a pytree of arrays that all have these axes.
        feature_ndim: Number of feature axes, which says where the time axis is.
        time_major: As in `recur`.
        **options: The other options of `recur`.
    """
    if time_major or feature_ndim == 1:
        return recur(step, state, x, time_major=time_major, **options)
    batch = jnp.shape(jax.tree.leaves(x)[0])[: -1 - feature_ndim]
    return run_steps(step, state, x, batch, **options)
