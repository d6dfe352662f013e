"""`tap`, and taps for derivatives that are written by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.tap.logs import TapLog, make_logs
from jaxnets.tap.primitive import logging_identity
from jaxnets.tap.statistics import summarise_response
from jaxnets.tap.trace import (
    check_name,
    is_measuring,
    new_key,
    note_hidden,
)


# Arrays and their cotangents, by the name of the tap.
Tapped = dict[str, tuple[Any, Any]]


def tap(x: jax.Array, name: str) -> jax.Array:
    """Return `x`; under `jaxnets.gradflow.measure`, summarise its cotangent as `name`.

    `tap(x, name) = x`. The cotangent `dL/dx` is reduced to its `TapStats` and `x` to
    its `ResponseStats`, so nothing of the size of `x` is kept. Inside `jax.lax.scan`
    the statistics have a leading axis, aligned with the forward steps. Taps of the same
    name are numbered in the order of the calls: `h`, `h#2`, and so on. Without
    `measure` a tap adds nothing to the program.

    The loss may differentiate itself, in forward or in reverse mode. A tap inside is
    the identity for the inner derivative, and the cotangent is that of the outer one.

    Args:
        x: Array of any shape. Integers have no cotangent and are not tapped.
        name: Name of the statistics, below the names of the enclosing `scope`s.

    Returns:
        `x` itself.

    Raises:
        TypeError: If `x` is not an array, or `name` is not a string.
        ValueError: If `name` is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import measure, tap
        >>> loss = lambda w: jnp.sum(tap(w * 2.0, "hidden") ** 2)
        >>> flow = measure(loss, jnp.array([3.0, 4.0]))
        >>> flow.taps["hidden"].norm
        Array(20., dtype=float32)
    """
    _check_tapped(x)
    check_name(name)
    if not is_measuring() or not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
        return x
    key = new_key(name)
    if key is None:
        return x
    return logging_identity(jnp.asarray(x), key)  # parameters may be NumPy arrays


def _check_tapped(x: Any) -> None:
    """Raise TypeError unless `x` is an array or a number."""
    if not isinstance(x, int | float | complex) and not hasattr(x, "dtype"):
        raise TypeError(
            f"`x` is of type {type(x).__name__}; wanted an array. Tap the arrays of a "
            "pytree one by one, each under a name of its own: `tap(x, name)`."
        )


def taps_by_hand(names: Sequence[str]) -> Callable[[Tapped], dict[str, TapLog]]:
    """Insert taps into a derivative that is written by hand.

    Call it in the forward pass, and only if `is_measuring()`.

    Args:
        names: Names of the taps, in the order of the forward pass.

    Returns:
        A function to be called in the backward pass, with the tapped arrays and their
        cotangents. It returns the logs for `jax.custom_vjp.defvjp_with_logs`.
    """
    keys = {name: new_key(name) for name in names}

    def log(tapped: Tapped) -> dict[str, TapLog]:
        chosen = {key: tapped[name] for name, key in keys.items() if key is not None}
        return note_hidden(
            make_logs(
                {key: (summarise_response(x), ct) for key, (x, ct) in chosen.items()}
            )
        )

    return log
