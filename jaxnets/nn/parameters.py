"""Parameters of convolution and normalisation: checks of shapes, initialisation."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets.functional.shared.arguments import (
    as_count,
    as_dtype,
    as_switch,
    int_or_none,
    list_or_none,
)
from jaxnets.functional.shared.windows import per_axis
from jaxnets.nn.options import stream


def window_of(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    """Return the window as a tuple.

    Raises:
        TypeError: If `kernel_size` is a single int, which leaves the number of spatial
            axes open, or does not consist of ints.
        ValueError: If a size is below 1.
    """
    single = int_or_none(kernel_size)
    if single is not None:
        raise TypeError(
            f"`kernel_size` is the int {single}; wanted one int for each "
            f"spatial axis, such as ({single}, {single}) for images."
        )
    entries = list_or_none(kernel_size)
    if not entries:
        raise TypeError(
            f"`kernel_size` is {kernel_size!r}; wanted one int for each spatial axis, "
            "such as (3, 3) for images."
        )
    return per_axis(entries, len(entries), "kernel_size")


def check_counts(**counts: Any) -> None:
    """Raise unless all `counts`, given by name, are nonnegative ints."""
    for name, count in counts.items():
        as_count(count, name, minimum=0)


def check_groups(groups: int, in_features: int, out_features: int) -> None:
    """Raise unless the groups divide both numbers of channels."""
    check_counts(in_features=in_features, out_features=out_features)
    as_count(groups, "feature_group_count", minimum=0)
    if not groups or in_features % groups or out_features % groups:
        raise ValueError(
            f"`feature_group_count` is {groups}; wanted a divisor of both "
            f"`in_features` = {in_features} and `out_features` = {out_features}."
        )


def parameter(
    init: nnx.Initializer, shape: tuple[int, ...], dtype: Any, rngs: nnx.Rngs
) -> nnx.Param:
    """Draw a parameter from the `params` stream.

    Raises:
        TypeError: If `dtype`, the caller's `param_dtype`, is not a dtype.
    """
    key = stream(rngs, "params")()
    return nnx.Param(init(key, shape, as_dtype(dtype, "param_dtype")))


def bias_or_none(
    use_bias: bool, init: nnx.Initializer, features: int, dtype: Any, rngs: nnx.Rngs
) -> nnx.Param | None:
    """Draw a bias, or return None if `use_bias` is False.

    Raises:
        TypeError: If `use_bias` is not a bool, or as `parameter` does.
    """
    if not as_switch(use_bias, "use_bias"):
        return None
    return parameter(init, (features,), dtype, rngs)


def value_or_none(param: nnx.Param | None) -> jax.Array | None:
    """Return the array of a parameter, or None if the layer has none."""
    return None if param is None else param[...]


def cast(dtype, *arrays):
    """Cast the arrays to the dtype that a layer computes in; None leaves them.

    Raises:
        TypeError: If `dtype` is neither a dtype nor None.
    """
    if dtype is None:
        return arrays
    dtype = as_dtype(dtype, "dtype")
    return jax.tree.map(lambda array: jnp.asarray(array, dtype), arrays)
