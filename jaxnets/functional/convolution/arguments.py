"""Checks of the arguments that all convolutions share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import DotAlgorithm, DotAlgorithmPreset, Precision
from jax.typing import DTypeLike
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_count, list_or_none
from jaxnets.functional.shared.dtypes import sum_dtype
from jaxnets.functional.shared.sharding import call_with_auto_axes, partition_spec
from jaxnets.typing import ArrayLike


def checked_result_dtype(
    preferred: DTypeLike | None, operands: np.dtype
) -> np.dtype | None:
    """Return the dtype of the sum and the result; None if it is that of the operands.

    Unless `preferred` says otherwise it is `sum_dtype` of the operands.

    Raises:
        TypeError: If `preferred`, the caller's `preferred_element_type`, is not a
            dtype, or cannot represent products of the operands.

    Example:
        >>> checked_result_dtype("int32", np.dtype("int8"))
        dtype('int32')
    """
    if preferred is None:
        result = sum_dtype(operands)
        return None if result == operands else result
    wanted = "a dtype at least as wide that can represent their products"
    try:
        result = jax.dtypes.canonicalize_dtype(preferred)
    except TypeError as error:
        raise TypeError(
            f"`preferred_element_type` is {preferred!r}; wanted {wanted}, or None."
        ) from error
    result_kinds = {
        jnp.signedinteger: (jnp.signedinteger, jnp.floating),
        jnp.unsignedinteger: (jnp.integer, jnp.floating),
        jnp.floating: (jnp.floating,),
        jnp.complexfloating: (jnp.complexfloating,),
    }
    possible = next(
        kinds for kind, kinds in result_kinds.items() if jnp.issubdtype(operands, kind)
    )
    represents = any(jnp.issubdtype(result, kind) for kind in possible)
    if not represents or result.itemsize < operands.itemsize:
        raise TypeError(
            f"`preferred_element_type` is {result} and the arguments have dtype "
            f"{operands}; wanted {wanted}. Cast the arguments or the result instead."
        )
    return result


def checked_precision(precision: Any) -> jax.lax.PrecisionLike:
    """Return `precision` in a hashable form that JAX accepts.

    Raises:
        TypeError: If it is neither a name, a precision of JAX, nor a pair of these.
        ValueError: If it is a name that JAX does not know.

    Example:
        >>> checked_precision(["float32", "default"])
        (Precision.HIGHEST, Precision.DEFAULT)
    """
    if precision is None or isinstance(precision, DotAlgorithm | DotAlgorithmPreset):
        return precision
    if isinstance(precision, str) and precision in DotAlgorithmPreset.__members__:
        return DotAlgorithmPreset[precision]
    pair = list_or_none(precision) or []
    operands = pair if len(pair) == 2 else [precision] * 2
    wanted = (
        "wanted None, 'default', 'high', 'highest', a `jax.lax.Precision`, a pair of "
        "these (for `x` and the kernel), or a `jax.lax.DotAlgorithmPreset`"
    )
    if not all(isinstance(one, str | Precision) for one in operands):
        raise TypeError(f"`precision` is {precision!r}; {wanted}.")
    try:
        first, second = map(Precision, operands)
    except ValueError as error:
        raise ValueError(f"`precision` is {precision!r}; {wanted}.") from error
    return first, second


def check_kernel(kernel: ArrayLike, bias: ArrayLike | None, groups: int) -> None:
    """Check that the number of groups and the bias fit the kernel.

    Raises:
        TypeError: If `groups`, the caller's `feature_group_count`, is not an int.
        ValueError: If the kernel has no spatial axes, or the shapes are inconsistent.
    """
    shape = jnp.shape(kernel)
    if len(shape) < 3 or 0 in shape[:-2]:
        raise ValueError(
            f"`kernel` has shape {shape}; wanted (*window, channels // "
            "feature_group_count, features) with a window of 1 or more on each of one "
            "or more spatial axes."
        )
    groups = as_count(groups, "feature_group_count")
    if shape[-1] % groups:
        raise ValueError(
            f"`feature_group_count` is {groups} and `kernel`, of shape {shape}, gives "
            f"{shape[-1]} features; wanted a multiple of the number of groups."
        )
    check_bias(bias, shape[-1])


def check_bias(bias: ArrayLike | None, features: int) -> None:
    """Raise a ValueError unless `bias` is None or has one number per feature."""
    if bias is not None and jnp.shape(bias) != (features,):
        raise ValueError(
            f"`bias` has shape {jnp.shape(bias)}; wanted {(features,)}, one number for "
            "each feature of the output."
        )


def check_channels(x: ArrayLike, kernel: ArrayLike, groups: int) -> None:
    """Raise a ValueError unless `x` has the number of channels that `kernel` takes."""
    shape = jnp.shape(kernel)
    channels = jnp.shape(x)[-1]
    if channels != shape[-2] * groups:
        raise ValueError(
            f"`x` has {channels} channels and `kernel`, of shape {shape}, "
            f"takes {shape[-2]} in each of {groups} groups; wanted "
            "x.shape[-1] == kernel.shape[-2] * feature_group_count."
        )


def run_on_mesh(
    run: Callable[[jax.Array, jax.Array], jax.Array],
    name: str,
    x: Shaped[Array, "batch *spatial channels"],
    kernel: Shaped[Array, "*window channels_per_group features"],
) -> Shaped[Array, "batch *out features"]:
    """Return `run(x, kernel)`, also if explicit mesh axes shard the batch.

    `name` is the name of the implementation. JAX shards the convolution of "lax" by its
    own rule, which also allows sharded spatial axes.
    """
    if name == "lax":
        return run(x, kernel)
    spatial = [None] * (x.ndim - 2)
    result = (partition_spec(x)[0], *spatial, partition_spec(kernel)[-1])
    return call_with_auto_axes(run, (x, kernel), result)
