"""Single arguments, checked: what an array, a count and a switch may be."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_array(value: Any, name: str) -> jax.Array:
    """Return `value` as a JAX array; `name` is what the caller called it.

    Raises:
        TypeError: If it is no array of numbers or booleans.

    Example:
        >>> as_array(np.ones(2), "x")
        Array([1., 1.], dtype=float32)
    """
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` is {described(value)}; wanted an array of numbers. Convert it, "
            f"for example with `jnp.asarray({name}, jnp.float32)`."
        ) from error


def described(value: Any) -> str:
    """Return what kind of thing `value` is, for messages.

    Example:
        >>> described(np.array(["a"]))
        'an array of dtype <U1'
    """
    if isinstance(value, jax.Array | np.ndarray):
        return f"an array of dtype {value.dtype}"
    return f"of type {type(value).__name__}"


def as_optional_array(value: Any, name: str) -> jax.Array | None:
    """Return None as it is, and anything else as `as_array` does."""
    return None if value is None else as_array(value, name)


def int_or_none(value: Any) -> int | None:
    """Return `value` as an int, or None if it is none; a bool is none."""
    try:
        return None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        return None


def list_or_none(value: Any) -> list[Any] | None:
    """Return the elements of a sequence; strings and scalars have none."""
    try:
        return None if isinstance(value, str) else list(value)
    except TypeError:
        return None


def as_count(value: Any, name: str, *, minimum: int = 1) -> int:
    """Return an int that is not below `minimum`.

    Raises:
        TypeError: If `value` is no int.
        ValueError: If it is too small.

    Example:
        >>> as_count(np.int64(3), "feature_group_count")
        3
    """
    number = int_or_none(value)
    if number is None:
        raise TypeError(f"`{name}` is {value!r}; wanted an int.")
    if number < minimum:
        raise ValueError(f"`{name}` is {value!r}; wanted {minimum} or more.")
    return number


def as_switch(value: Any, name: str) -> bool:
    """Return a bool.

    Raises:
        TypeError: If `value` is none.

    Example:
        >>> as_switch(np.bool_(True), "ceil_mode")
        True
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{name}` is {value!r}; wanted True or False.")
    return bool(value)


def as_dtype(value: Any, name: str) -> np.dtype:
    """Return a dtype.

    Raises:
        TypeError: If `value` names none.

    Example:
        >>> as_dtype("bfloat16", "dtype")
        dtype(bfloat16)
    """
    try:
        # NumPy takes None for float64.
        return jnp.dtype("none" if value is None else value)
    except TypeError as error:
        raise TypeError(
            f"`{name}` is {value!r}; wanted a dtype, such as `jnp.float32`."
        ) from error
