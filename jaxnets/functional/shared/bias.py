"""The bias of a layer, whose gradient is a sum over all other axes."""

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.typing import ArrayLike


def add_bias(
    y: Shaped[Array, "..."], bias: Shaped[ArrayLike, "..."] | None
) -> Shaped[Array, "..."]:
    """Add `bias (features,)` to `y (*axes, features)`, in the dtype of `y`.

    16-bit floats are added in float32. Then the gradient of `bias`, which is a sum over
    all other axes, is added up in float32 too.
    """
    if bias is None:
        return y
    bias = jnp.asarray(bias, y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))
    wide = accumulation_dtype(y.dtype)
    return (y.astype(wide) + bias.astype(wide)).astype(y.dtype)
