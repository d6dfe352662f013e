"""`recur` over inputs with several feature axes, such as the pixels of a film."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrent.recurrence import Step, recur


def recur_over_maps(
    step: Step,
    state: Any,
    x: Any,
    feature_ndim: int,
    *,
    resets: Any = None,
    time_major: bool = False,
    **options: Any,
) -> tuple[Any, Any]:
    """Run `recur` over `x (*batch, T, *features)`; all axes of an output but its batch.

    Args:
        step: As in `recur`.
        state: As in `recur`.
        x: An array, or a pytree of arrays that all have these axes.
        feature_ndim: Number of feature axes, which says where the time axis is.
        resets: As in `recur`.
        time_major: As in `recur`.
        **options: The other options of `recur`.
    """
    if time_major or feature_ndim == 1:
        return recur(step, state, x, resets=resets, time_major=time_major, **options)
    axis = jnp.ndim(jax.tree.leaves(x)[0]) - 1 - feature_ndim
    first = jax.tree.map(lambda a: jnp.moveaxis(jnp.asarray(a), axis, 0), x)
    if resets is not None:
        wanted = jnp.shape(jax.tree.leaves(x)[0])[: axis + 1]
        if jnp.shape(resets) != wanted:
            raise ValueError(
                f"`resets` has shape {jnp.shape(resets)}; wanted {wanted}: one boolean "
                "for each step of each sequence, (*batch, time)."
            )
        resets = jnp.moveaxis(jnp.asarray(resets), -1, 0)
    state, ys = recur(step, state, first, resets=resets, time_major=True, **options)
    return state, jax.tree.map(lambda y: jnp.moveaxis(y, 0, axis), ys)
