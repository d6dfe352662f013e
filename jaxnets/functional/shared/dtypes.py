"""Dtypes that every function shares."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnets.typing import ArrayLike


def promoted_dtype(*arrays: ArrayLike | None) -> np.dtype:
    """Return the dtype that `arrays` promote to; None stands for an absent one.

    Raises:
        TypeError: If it is no dtype of numbers.

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


def accumulation_dtype(dtype: Any) -> Any:
    """Return the dtype that sums of `dtype` are made in: float32 for 16-bit floats."""
    narrow = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
    return jnp.dtype(jnp.float32) if narrow else dtype
