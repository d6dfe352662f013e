"""Which dtypes a pool accepts, and the smallest value of each."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def lowest(dtype: Any) -> Any:
    """Return the identity of the maximum: minus infinity, or the smallest number.

    Integers and some floats of 8 bits or fewer have no infinity.

    Example:
        >>> lowest(jnp.bfloat16), lowest(jnp.int8), lowest(jnp.float8_e4m3fn)
        (-inf, -128, -448.0)
    """
    if jnp.issubdtype(dtype, jnp.floating):
        infinite = np.isneginf(np.asarray(-np.inf, dtype).astype(np.float32))
        return -np.inf if infinite else float(jnp.finfo(dtype).min)
    return False if dtype == jnp.bool_ else jnp.iinfo(dtype).min


def narrowed(y: jax.Array, dtype: Any) -> jax.Array:
    """Return maxima as `dtype`; minus infinity becomes its smallest number."""
    smallest = lowest(dtype)
    if jnp.issubdtype(dtype, jnp.floating) and np.isfinite(smallest):
        y = jnp.where(y == -jnp.inf, jnp.asarray(smallest, y.dtype), y)
    return y.astype(dtype)


def check_ordered(x: jax.Array) -> None:
    """Raise a TypeError if `x` is complex, since complex numbers have no order."""
    if jnp.iscomplexobj(x):
        raise TypeError(
            f"`x` has dtype {x.dtype}; wanted real numbers, since complex ones have no "
            "order. Pool `abs(x)`, or the real and imaginary parts."
        )


def check_summable(x: jax.Array) -> None:
    """Raise a TypeError if `x` holds booleans."""
    if x.dtype == jnp.bool_:
        raise TypeError(
            "`x` has dtype bool; wanted numbers. To count true elements, pool "
            "`x.astype(jnp.int32)`; to ask whether any is true, use a max pool."
        )


def check_divisible(x: jax.Array) -> None:
    """Raise a TypeError if the dtype of `x` cannot represent averages."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(
            f"`x` has dtype {x.dtype}, which cannot represent averages; wanted "
            "floating-point numbers. Pool `x.astype(jnp.float32)`, or take the sum."
        )


def check_real(x: jax.Array) -> None:
    """Raise a TypeError unless `x` holds real floating-point numbers."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"`x` has dtype {x.dtype}; wanted real floating-point numbers. Pool "
            "`x.astype(jnp.float32)`, or the absolute values of complex numbers."
        )
