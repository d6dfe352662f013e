"""Sizes of axes, which `jax.export` may leave open as symbols."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from jaxnets.typing import ArrayLike


if TYPE_CHECKING:
    Size = int
else:
    # A symbolic size supports the arithmetic of an int, but is not an instance of it.
    Size = Any


def definitely(condition: Callable[[], Any]) -> bool:
    """Return whether JAX can show that `condition` holds for all symbolic sizes.

    Example:
        >>> (size,) = jax.export.symbolic_shape("n")
        >>> definitely(lambda: size >= 1), definitely(lambda: size >= 2)
        (True, False)
    """
    try:
        return bool(condition())
    except jax.errors.InconclusiveDimensionOperation:
        return False


def is_known(*sizes: Any) -> bool:
    """Return whether all sizes are numbers, and none is a symbol of `jax.export`.

    Example:
        >>> is_known(3, 4), is_known(3, *jax.export.symbolic_shape("n"))
        (True, False)
    """
    return not any(jax.export.is_symbolic_dim(size) for size in sizes)


def index_range(size: Any) -> Int[ArrayLike, " size"]:
    """Return the indices of an axis, as a JAX array only if its size is symbolic.

    Example:
        >>> index_range(3)
        array([0, 1, 2])
    """
    return np.arange(size) if is_known(size) else jnp.arange(size)


def check_known(sizes: Sequence[Any], name: str, reason: str) -> None:
    """Raise a ValueError if a spatial axis of the argument `name` has a symbolic size.

    Args:
        sizes: The sizes of the spatial axes.
        name: The name of the caller's argument.
        reason: What the numbers are needed for; it ends the sentence "which is needed".
    """
    for axis, size in enumerate(sizes):
        if not is_known(size):
            raise ValueError(
                f"`{name}` has the symbolic size {size} on spatial axis {axis}; wanted "
                f"a number, which is needed {reason}. Export with a number for this "
                "axis, once for each size in use. Batch sizes may be symbolic."
            )
