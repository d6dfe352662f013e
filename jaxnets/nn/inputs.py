"""Checks of the inputs of blocks and networks: images, features and outputs."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.arguments import as_array


def as_images(x: Any, channels: int, size: tuple[int, ...] | None = None) -> jax.Array:
    """Return images `(batch, height, width, channels)` as a JAX array.

    Args:
        x: The user's argument.
        channels: The number of channels.
        size: The height and width; None is any.

    Raises:
        TypeError: If `x` is not an array of numbers.
        ValueError: If it has another number of axes, or other sizes.
    """
    x = as_array(x, "x")
    height, width = size or ("height", "width")
    fits = x.ndim == 4 and x.shape[-1] == channels
    if not fits or (size is not None and x.shape[1:3] != size):
        one = x.ndim == 3 and x.shape[-1] == channels
        remedy = " Add the batch axis of one image with `x[None]`." if one else ""
        raise ValueError(
            f"`x` has shape {x.shape}; wanted images of shape (batch, {height}, "
            f"{width}, {channels}).{remedy}"
        )
    return x


def check_preserved(x: jax.Array, y: Any) -> None:
    """Raise ValueError unless a block returns an array like its input."""
    shape, dtype = jnp.shape(y), jnp.result_type(y)
    if shape != x.shape or dtype != x.dtype:
        raise ValueError(
            f"`make_block` makes a block that turns `x` of shape {x.shape} and dtype "
            f"{x.dtype} into shape {shape} and dtype {dtype}; wanted the same for "
            "both, since the next block reads it. Apply a block that changes them "
            "before the stack, and cast `x` to the dtype of the weights."
        )
