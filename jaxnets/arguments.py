"""Checks of single arguments, which all packages share.

Each check raises an error that names the argument, what came and what is wanted.
"""

import inspect
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def as_array(value: Any, name: str) -> jax.Array:
    """Return `value` as a JAX array; `name` is the name of the caller's argument.

    Raises:
        TypeError: If it is not an array of numbers or booleans.

    Example:
        >>> as_array(np.ones(2), "x")
        Array([1., 1.], dtype=float32)
    """
    cause = None
    try:
        array = jnp.asarray(value)
        if not jnp.issubdtype(array.dtype, jax.dtypes.extended):
            return array
    except (TypeError, ValueError) as error:
        cause = error
    raise TypeError(
        f"`{name}` is {described(value)}; wanted an array of numbers. Convert it, "
        f"for example with `jnp.asarray({name}, jnp.float32)`."
    ) from cause


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


def as_count(
    value: Any,
    name: str,
    *,
    minimum: int = 1,
    maximum: int | None = None,
    meaning: str = "",
) -> int:
    """Return a whole number that is at least `minimum`, and at most `maximum`.

    Every function checks whole numbers by this rule: any integer type is accepted, also
    an array of shape (); floats, strings, booleans and None are of the wrong type.

    Args:
        value: What the caller passed.
        name: The name of the caller's argument.
        minimum: The smallest number that is accepted.
        maximum: The largest number that is accepted; None for no limit.
        meaning: What the number stands for, added to the error message.

    Raises:
        TypeError: If `value` is not an integer.
        ValueError: If it is less than `minimum` or more than `maximum`.

    Example:
        >>> as_count(np.int64(3), "feature_group_count")
        3
    """
    number = int_or_none(value)
    reason = f": {meaning}" if meaning else ""
    if number is None:
        raise TypeError(f"`{name}` is {value!r}; wanted an int{reason}.")
    if number < minimum or (maximum is not None and number > maximum):
        limits = "or more" if maximum is None else f"to {maximum}"
        raise ValueError(f"`{name}` is {value!r}; wanted {minimum} {limits}{reason}.")
    return number


def as_seed(value: Any, name: str) -> int:
    """Return a whole number from 0 to 2^32 - 1.

    Unless x64 is on, JAX uses the last 32 bits of a seed, so without this check the
    seeds 0 and 2^32 would give the same random numbers.

    Raises:
        TypeError: If `value` is not an integer.
        ValueError: If it is negative or above 2^32 - 1.

    Example:
        >>> as_seed(7, "seed")
        7
    """
    meaning = "seeds of the same last 32 bits give the same random numbers"
    return as_count(value, name, minimum=0, maximum=2**32 - 1, meaning=meaning)


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


def check_number(name: str, number: Any, wanted: str) -> None:
    """Raise TypeError unless `number` is a real number that is not traced."""
    if isinstance(number, Tracer):
        raise TypeError(
            f"`{name}` is traced; wanted a number that is known while JAX traces: "
            f"{wanted}. Close over it, or name it in `static_argnames` of `jax.jit`."
        )
    if isinstance(number, np.generic | np.ndarray | jax.Array):
        dtype = number.dtype
        real = jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
        accepted = real and number.ndim == 0
    else:
        accepted = isinstance(number, int | float) and not isinstance(number, bool)
    if not accepted:
        raise TypeError(f"`{name}` is {number!r}; wanted {wanted}.")


def check_callable(name: str, function: Any, wanted: str) -> None:
    """Raise TypeError unless `function` can be called."""
    if not callable(function):
        given = repr(function)
        if len(given) > 40:
            given = described(function)
        raise TypeError(f"`{name}` is {given}; wanted {wanted}.")


def check_accepts(name: str, function: Any, given: str, *args: Any) -> None:
    """Raise a TypeError if a function has no parameters for `args`.

    Args:
        name: The name of the function as an argument.
        function: The function. One without a signature, such as some builtins, passes.
        given: What `args` are, and how to write a function of them.
        *args: What the function will be called with, by position.

    Example:
        >>> check_accepts("make", lambda: None, "the keys", 1)
        Traceback (most recent call last):
            ...
        TypeError: `make` has the parameters `()`, but it is called with the keys
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args)
    except TypeError:
        parameters = [
            str(p.replace(annotation=p.empty)) for p in signature.parameters.values()
        ]
        raise TypeError(
            f"`{name}` has the parameters `({', '.join(parameters)})`, but it is "
            f"called with {given}"
        ) from None


def check_key(key: Any) -> None:
    """Raise TypeError unless `key` is a single JAX random key."""
    dtype, ndim = getattr(key, "dtype", None), getattr(key, "ndim", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not (typed and ndim == 0) and not (dtype == jnp.uint32 and ndim == 1):
        several = " several keys," if typed else ""
        raise TypeError(
            f"`key` is{several} {described(key)}; wanted one JAX random key, such as "
            "`jax.random.key(0)`. Use `jax.vmap` for several keys."
        )
