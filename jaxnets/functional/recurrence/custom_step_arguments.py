"""The arguments of `recur`, and what the user's step returns, checked."""

from typing import Any

import jax
import jax.numpy as jnp


def batch_axes(xs: Any, lengths: Any, resets: Any, time_major: bool) -> tuple[int, ...]:
    """Check that `xs` has the axes it needs, and return the sizes of the batch."""
    leaves = jax.tree.leaves(xs)
    if not leaves:
        raise ValueError("`xs` has no arrays; wanted at least one, to count the steps.")
    first = jnp.shape(leaves[0])
    for leaf in leaves:
        shape = jnp.shape(leaf)
        if len(shape) < (1 if time_major else 2):
            layout = "(time, *batch, ...)" if time_major else "(*batch, time, features)"
            raise ValueError(
                f"`xs` holds an array of shape {shape}; wanted {layout}. Add an axis "
                "for the features with `x[..., None]`, or put time first and pass "
                "time_major=True."
            )
        if not time_major and len(shape) != len(first):
            raise ValueError(
                f"`xs` holds arrays of shapes {first} and {shape}; wanted (*batch, "
                "time, features) for each. For other feature axes put time first and "
                "pass time_major=True."
            )
    if not time_major:
        return first[:-2]
    # With time first, only `lengths` and `resets` say where the batch axes end.
    if lengths is not None:
        return jnp.shape(lengths)
    return () if resets is None else jnp.shape(resets)[1:]


def check_leading(name: str, tree: Any, lead: tuple[int, ...]) -> None:
    """Raise ValueError unless all arrays begin with the axes `lead`."""
    for leaf in jax.tree.leaves(tree):
        if jnp.shape(leaf)[: len(lead)] != lead:
            what = "the axes of batch and time" if name == "xs" else "the batch axes"
            raise ValueError(
                f"`{name}` holds an array of shape {jnp.shape(leaf)}; wanted one that "
                f"begins with {what} = {lead}, as the other arguments have it."
            )


def check_returned(returned: Any, state: Any, batch: tuple[int, ...]) -> None:
    """Check what a step returns: a state like `state`, and an output.

    Args:
        returned: By the step.
        state: That it was given.
        batch: What the output's shape begins with.
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
        # The dtype of a Python number is not meant: JAX takes that of the step.
        meant = not getattr(old, "weak_type", False)
        if jnp.shape(old) != jnp.shape(new) or (meant and _dtype(old) != _dtype(new)):
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
