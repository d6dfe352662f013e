"""Activations that are not elementwise functions of `jax.nn`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.arguments import as_array
from jaxnets.typing import ArrayLike


def crelu(x: Float[ArrayLike, "*batch features"]) -> Float[Array, "*batch doubled"]:
    """Return the positive and the negative parts, `[max(x, 0), max(-x, 0)]`.

    It keeps all information of its input, in twice the channels: `x (*batch, C)` gives
    `(*batch, 2 C)`.

    Args:
        x: Feature maps with the channels last: real floating-point numbers.

    Returns:
        The concatenation of both parts on the last axis.

    Raises:
        TypeError: If `x` is not an array of real floating-point numbers.
        ValueError: If `x` has no axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import crelu
        >>> crelu(jnp.array([3.0, -1.0]))
        Array([3., 0., 0., 1.], dtype=float32)

    Source: Shang et al. 2016, "Understanding and Improving Convolutional Neural
    Networks via Concatenated Rectified Linear Units".
    """
    x = as_array(x, "x")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"`x` has dtype {x.dtype}; wanted real floating-point numbers. Cast it, "
            "for example with `x.astype(jnp.float32)`."
        )
    if not x.ndim:
        raise ValueError("`x` has shape (); wanted (*batch, channels).")
    return jnp.concatenate([jax.nn.relu(x), jax.nn.relu(-x)], axis=-1)
