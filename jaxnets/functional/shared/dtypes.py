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

    Floats of fewer than 32 bits are summed in float32, every other dtype in itself. For
    integers that is the dtype that `sum_dtype` returns.

    Example:
        >>> accumulation_dtype(jnp.bfloat16), accumulation_dtype(jnp.int8)
        (dtype('float32'), dtype('int8'))
    """
    dtype = jnp.dtype(dtype)
    narrow = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
    return jnp.dtype(jnp.float32) if narrow else dtype


def sum_dtype(dtype: Any) -> np.dtype:
    """Return the dtype of sums of numbers of `dtype`.

    Sums of integers of fewer than 32 bits would soon be out of their range. They have
    32 bits, as those of `jax.numpy.sum`. Every other dtype is kept; integers of 32 bits
    and more wrap around, as everywhere in JAX.

    Example:
        >>> sum_dtype(jnp.int8), sum_dtype(jnp.uint16), sum_dtype(jnp.bfloat16)
        (dtype('int32'), dtype('uint32'), dtype(bfloat16))
    """
    dtype = jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.integer) or jnp.iinfo(dtype).bits >= 32:
        return dtype
    signed = jnp.issubdtype(dtype, jnp.signedinteger)
    return jnp.dtype(jnp.int32 if signed else jnp.uint32)


def whole_byte_dtype(dtype: Any) -> np.dtype:
    """Return the dtype of 8 bits for integers of fewer bits, and any other unchanged.

    XLA's convolution can sum integers of fewer bits in their own dtype only.

    Example:
        >>> whole_byte_dtype(jnp.int4), whole_byte_dtype(jnp.int16)
        (dtype('int8'), dtype('int16'))
    """
    dtype = jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.integer) or jnp.iinfo(dtype).bits >= 8:
        return dtype
    signed = jnp.issubdtype(dtype, jnp.signedinteger)
    return jnp.dtype(jnp.int8 if signed else jnp.uint8)
