"""The parameters of convolutional layers: their shapes checked, then initialised."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets.nn.options import frozen


def window_of(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    """Return the window as a tuple.

    Raises:
        TypeError: If `kernel_size` is a single int: the rank would be a guess.
    """
    if isinstance(kernel_size, int):
        raise TypeError(
            f"`kernel_size` is the int {kernel_size}; wanted one int for each "
            f"spatial axis, such as ({kernel_size}, {kernel_size}) for images."
        )
    return frozen(tuple(kernel_size))


def check_groups(groups: int, in_features: int, out_features: int) -> None:
    """Raise a ValueError unless the channels divide into the groups."""
    if groups < 1 or in_features % groups or out_features % groups:
        raise ValueError(
            f"`feature_group_count` is {groups}; wanted a divisor of both "
            f"`in_features` = {in_features} and `out_features` = {out_features}."
        )


def parameter(
    init: nnx.Initializer, shape: tuple[int, ...], dtype: Any, rngs: nnx.Rngs
) -> nnx.Param:
    """Draw a parameter from the `params` stream."""
    return nnx.Param(init(rngs.params(), shape, dtype))


def held(param: nnx.Param | None) -> jax.Array | None:
    """Return the array of a parameter, or None where there is none."""
    return None if param is None else param[...]


def cast(dtype, *arrays):
    """Cast the arrays, a pytree, to the dtype a layer computes in; None leaves them."""
    if dtype is None:
        return arrays
    return jax.tree.map(lambda array: jnp.asarray(array, dtype), arrays)
