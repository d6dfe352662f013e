"""Checks of the arguments of `recur`, and of the values that its step returns."""

from typing import Any

import jax
import jax.numpy as jnp


def batch_axes(xs: Any, lengths: Any, resets: Any, time_major: bool) -> tuple[Any, ...]:
    """Check that `xs` has enough axes, and return the batch axes."""
    leaves = jax.tree.leaves(xs)
    if not leaves:
        raise ValueError(
            "`xs` has no arrays; wanted at least one, which has the time axis."
        )
    first = jnp.shape(leaves[0])
    for leaf in leaves:
        shape = jnp.shape(leaf)
        if len(shape) < (1 if time_major else 2):
            layout = "(time, *batch, ...)" if time_major else "(*batch, time, features)"
            raise ValueError(
                f"`xs` has an array of shape {shape}; wanted {layout}. Add an axis "
                "for the features with `x[..., None]`, or put time first and pass "
                "time_major=True."
            )
        if not time_major and len(shape) != len(first):
            raise ValueError(
                f"`xs` has arrays of shapes {first} and {shape}; wanted (*batch, "
                "time, features) for each. To pass other feature axes, put time first "
                "and pass time_major=True."
            )
    if not time_major:
        return first[:-2]
    # With time first, only `lengths` and `resets` determine the batch axes.
    if lengths is not None:
        return jnp.shape(lengths)
    return () if resets is None else jnp.shape(resets)[1:]


def check_leading(name: str, tree: Any, lead: tuple[Any, ...]) -> None:
    """Raise ValueError unless the first axes of all arrays are `lead`."""
    for leaf in jax.tree.leaves(tree):
        if jnp.shape(leaf)[: len(lead)] != lead:
            what = "the axes of batch and time" if name == "xs" else "the batch axes"
            raise ValueError(
                f"`{name}` has an array of shape {jnp.shape(leaf)}; wanted one that "
                f"begins with {what} = {lead}, to match the other arguments."
            )


def check_returned(returned: Any, state: Any, batch: tuple[Any, ...]) -> None:
    """Check that a step returns a state like `state` and an output.

    Args:
        returned: The value that the step returned.
        state: The state that it was called with.
        batch: The first axes of the output.
    """
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise TypeError(
            f"`step` returns a value of type {type(returned).__name__}; wanted the "
            "pair (state, y_t)."
        )
    after, y_t = returned
    given, got = jax.tree.structure(state), jax.tree.structure(after)
    if given != got:
        raise TypeError(
            f"`step` returns a state of the structure {got}; wanted that of the "
            f"initial `state`, {given}."
        )
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        # A Python number has no dtype of its own: JAX uses the dtype of the step.
        weak = getattr(old, "weak_type", False)
        other_dtype = not weak and _dtype(old) != _dtype(new)
        if jnp.shape(old) != jnp.shape(new) or other_dtype:
            raise TypeError(
                f"`step` returns a state with an array of shape {jnp.shape(new)} and "
                f"dtype {_dtype(new)}; wanted {jnp.shape(old)} and {_dtype(old)}, as "
                "in the initial `state`."
            )
    for leaf in jax.tree.leaves(y_t):
        if jnp.shape(leaf)[: len(batch)] != batch:
            raise ValueError(
                f"`step` returns an output of shape {jnp.shape(leaf)}; wanted one that "
                f"begins with the batch axes {batch}."
            )


def _dtype(array: Any) -> Any:
    return jnp.result_type(array)
