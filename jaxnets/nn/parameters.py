"""Parameters of layers: checks of shapes and dtypes, initialisation."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.core import meta

from jaxnets.arguments import (
    as_count,
    as_dtype,
    as_switch,
    described,
    int_or_none,
    list_or_none,
)
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.windows import per_axis
from jaxnets.nn.options import check_range, stream


def window_of(
    kernel_size: int | Sequence[int], name: str = "kernel_size"
) -> tuple[int, ...]:
    """Return the window as a tuple; `name` is the name of the caller's argument.

    Raises:
        TypeError: If `kernel_size` is a single int, which leaves the number of spatial
            axes open, or does not consist of ints.
        ValueError: If a size is below 1.
    """
    single = int_or_none(kernel_size)
    if single is not None:
        raise TypeError(
            f"`{name}` is the int {single}; wanted one int for each "
            f"spatial axis, such as ({single}, {single}) for images."
        )
    entries = list_or_none(kernel_size)
    if not entries:
        raise TypeError(
            f"`{name}` is {kernel_size!r}; wanted one int for each spatial axis, "
            "such as (3, 3) for images."
        )
    return per_axis(entries, len(entries), name)


def check_counts(**counts: Any) -> None:
    """Raise unless all `counts`, given by name, are ints of at least 1."""
    for name, count in counts.items():
        as_count(count, name)


def check_groups(groups: int, in_features: int, out_features: int) -> None:
    """Raise unless the groups divide both numbers of channels."""
    check_counts(in_features=in_features, out_features=out_features)
    as_count(groups, "feature_group_count", minimum=0)
    if not groups or in_features % groups or out_features % groups:
        raise ValueError(
            f"`feature_group_count` is {groups}; wanted a divisor of both "
            f"`in_features` = {in_features} and `out_features` = {out_features}."
        )


class Initialiser:
    """A user's initialiser, without the metadata that Flax's wrappers add.

    `nnx.with_partitioning` and `nnx.with_metadata` make an initialiser that returns an
    array together with metadata, such as the sharding. Layers compute with the array
    and give the metadata to the parameter, which may be a concatenation of drawn arrays
    or have another shape.
    """

    def __init__(self, init: Any, name: str):
        if not callable(init):
            raise TypeError(
                f"`{name}` is {init!r}; wanted an initialiser, such as "
                "`nnx.initializers.lecun_normal()`."
            )
        self._init, self._name = init, name
        self._metadata: nnx.VariableMetadata[Any] = nnx.VariableMetadata(None)

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Draw an array of the dtype, computed in 32 bits or more."""
        drawn: Any = self._init(key, shape, accumulation_dtype(dtype))
        if isinstance(drawn, meta.Partitioned):
            sharding = {"out_sharding": drawn.names, "mesh": drawn.mesh}
            drawn = nnx.VariableMetadata(drawn.value, metadata=sharding)
        if isinstance(drawn, nnx.VariableMetadata):
            self._metadata, drawn = drawn, drawn.raw_value
        if getattr(drawn, "shape", None) != shape:
            shown = getattr(drawn, "shape", None) or described(drawn)
            raise ValueError(
                f"`{self._name}` returns {shown}; wanted an array of shape {shape}. "
                "Pass an initialiser such as `nnx.initializers.lecun_normal()`, with "
                "the parentheses."
            )
        return drawn.astype(dtype)

    def param(self, array: jax.Array) -> nnx.Param:
        """Return a parameter with this value and the metadata of what was drawn."""
        return nnx.Param(dataclasses.replace(self._metadata, raw_value=array))


def parameter(
    name: str,
    init: nnx.Initializer,
    shape: tuple[int, ...],
    dtype: Any,
    rngs: nnx.Rngs,
    *,
    stored_as: tuple[int, ...] | None = None,
) -> nnx.Param:
    """Draw a parameter from the `params` stream.

    Args:
        name: The name of the argument `init`.
        init: The user's initialiser.
        shape: The shape that it draws.
        dtype: The user's `param_dtype`.
        rngs: The user's random streams.
        stored_as: The shape of the parameter; None is `shape`.

    Raises:
        TypeError: If `init` is not an initialiser or `dtype` is not a floating-point
            dtype.
    """
    dtype, initialiser = as_param_dtype(dtype), Initialiser(init, name)
    drawn = initialiser(stream(rngs, "params")(), shape, dtype)
    return initialiser.param(drawn.reshape(stored_as or shape))


def as_param_dtype(dtype: Any, kind: Any = jnp.inexact) -> Any:
    """Return the dtype that `dtype`, the caller's `param_dtype`, names.

    Raises:
        TypeError: If it does not name a dtype of floating-point numbers of the `kind`:
            `jnp.inexact`, or `jnp.floating` for real numbers only.
    """
    found = as_dtype(dtype, "param_dtype")
    if not jnp.issubdtype(found, kind):
        raise TypeError(
            f"`param_dtype` is {found}; wanted floating point, such as `jnp.float32`."
        )
    return found


def bias_or_none(
    use_bias: bool, init: nnx.Initializer, features: int, dtype: Any, rngs: nnx.Rngs
) -> nnx.Param | None:
    """Draw a bias, or return None if `use_bias` is False.

    Raises:
        TypeError: If `use_bias` is not a bool, or as `parameter` does.
    """
    if not as_switch(use_bias, "use_bias"):
        return None
    return parameter("bias_init", init, (features,), dtype, rngs)


def drawn_weights(
    draw: Callable[..., Any], *arguments: Any, **options: Any
) -> dict[str, nnx.Param | None]:
    """Draw the weights of a recurrent cell as parameters, by name.

    Args:
        draw: A function such as `jaxnets.functional.init_lstm`.
        *arguments: Its random key and sizes.
        **options: Its options. `input_init` is the initialiser of `w_xh` and `w_hr`,
            `recurrent_init` the one of `w_hh`; `dtype` is the user's `param_dtype`.
    """
    names = [name for name in ("input_init", "recurrent_init") if name in options]
    inits = {name: Initialiser(options[name], name) for name in names}
    options["dtype"] = as_param_dtype(options["dtype"])
    if "forget_bias" in options:
        check_range(options["forget_bias"], "forget_bias", -math.inf)
    weights = draw(*arguments, **(options | inits))._asdict()
    owners = {"w_xh": "input_init", "w_hr": "input_init", "w_hh": "recurrent_init"}
    return {
        name: None
        if array is None
        else inits[owners[name]].param(array)
        if name in owners
        else nnx.Param(array)
        for name, array in weights.items()
    }


def as_float_or_none(dtype: Any) -> Any:
    """Return the dtype of floating point that `dtype` names, or None for None."""
    if dtype is None:
        return None
    found = as_dtype(dtype, "dtype")
    if not jnp.issubdtype(found, jnp.floating):
        raise TypeError(
            f"`dtype` is {found}; wanted floating point, such as `jnp.bfloat16`, or "
            "None for the dtype that input and weights promote to."
        )
    return found


def value_or_none(param: nnx.Param | None) -> jax.Array | None:
    """Return the array of a parameter, or None if the layer has none."""
    return None if param is None else param[...]


def cast(dtype: Any, *arrays: Any) -> tuple[Any, ...]:
    """Cast the arrays to the dtype that a layer computes in; None leaves them.

    Raises:
        TypeError: If `dtype` is neither a dtype nor None.
    """
    if dtype is None:
        return arrays
    dtype = as_dtype(dtype, "dtype")
    return jax.tree.map(lambda array: jnp.asarray(array, dtype), arrays)
