"""Dtypes of results and of sums."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnets.typing import ArrayLike


def promoted_dtype(*arrays: ArrayLike | None) -> np.dtype:
    """Return the dtype that `arrays` promote to, leaving out those that are None.

    Raises:
        TypeError: If it is not a dtype of numbers.

    Example:
        >>> promoted_dtype(np.ones(2, np.float32), None, np.ones(2, np.int32))
        dtype('float32')
    """
    dtype = jnp.result_type(*(array for array in arrays if array is not None))
    if not jnp.issubdtype(dtype, jnp.number):
        raise TypeError(
            f"The arguments have dtype {dtype}; wanted numbers. Cast booleans first, "
            "for example with `x.astype(jnp.float32)`."
        )
    return dtype


def accumulation_dtype(dtype: Any) -> np.dtype:
    """Return the dtype in which numbers of `dtype` are summed.

    Floats of fewer than 32 bits are summed in float32. Every other dtype, integers
    included, is summed in itself: integers wrap around, as everywhere in JAX.

    Example:
        >>> accumulation_dtype(jnp.bfloat16), accumulation_dtype(jnp.int8)
        (dtype('float32'), dtype('int8'))
    """
    dtype = jnp.dtype(dtype)
    narrow = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
    return jnp.dtype(jnp.float32) if narrow else dtype
