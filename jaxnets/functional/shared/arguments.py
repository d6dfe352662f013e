"""Checks of single arguments: arrays, whole numbers, switches and dtypes."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_array(value: Any, name: str) -> jax.Array:
    """Return `value` as a JAX array; `name` is the name of the caller's argument.

    Raises:
        TypeError: If it is not an array of numbers or booleans.

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
    """Describe the type of `value` for an error message.

    Example:
        >>> described(np.array(["a"]))
        'an array of dtype <U1'
    """
    if isinstance(value, jax.Array | np.ndarray):
        return f"an array of dtype {value.dtype}"
    return f"of type {type(value).__name__}"


def as_optional_array(value: Any, name: str) -> jax.Array | None:
    """Return None for None, and anything else as `as_array` does."""
    return None if value is None else as_array(value, name)


def int_or_none(value: Any) -> int | None:
    """Return an integer as an int, and None for anything else, booleans included."""
    try:
        return None if isinstance(value, bool | np.bool_) else operator.index(value)
    except (TypeError, jax.errors.InconclusiveDimensionOperation):
        return None


def list_or_none(value: Any) -> list[Any] | None:
    """Return the elements of a sequence, and None for a string or a scalar."""
    try:
        return None if isinstance(value, str) else list(value)
    except TypeError:
        return None


def as_count(value: Any, name: str, *, minimum: int = 1, meaning: str = "") -> int:
    """Return a whole number that is at least `minimum`.

    Every function checks whole numbers by this rule: any integer type is accepted, also
    an array of shape (); floats, strings, booleans and None are of the wrong type.

    Args:
        value: What the caller passed.
        name: The name of the caller's argument.
        minimum: The smallest number that is accepted.
        meaning: What the number stands for, added to the error message.

    Raises:
        TypeError: If `value` is not an integer.
        ValueError: If it is less than `minimum`.

    Example:
        >>> as_count(np.int64(3), "feature_group_count")
        3
    """
    number = int_or_none(value)
    reason = f": {meaning}" if meaning else ""
    if number is None:
        raise TypeError(f"`{name}` is {value!r}; wanted an int{reason}.")
    if number < minimum:
        raise ValueError(f"`{name}` is {value!r}; wanted {minimum} or more{reason}.")
    return number


def as_switch(value: Any, name: str) -> bool:
    """Return a Python or NumPy boolean as a bool.

    Raises:
        TypeError: If `value` is anything else.

    Example:
        >>> as_switch(np.bool_(True), "ceil_mode")
        True
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{name}` is {value!r}; wanted True or False.")
    return bool(value)


def as_dtype(value: Any, name: str) -> np.dtype:
    """Return the dtype that `value` names.

    Raises:
        TypeError: If `value` does not name a dtype.

    Example:
        >>> as_dtype("bfloat16", "dtype")
        dtype(bfloat16)
    """
    try:
        # NumPy reads None as float64.
        return jnp.dtype("none" if value is None else value)
    except TypeError as error:
        raise TypeError(
            f"`{name}` is {value!r}; wanted a dtype, such as `jnp.float32`."
        ) from error
