"""How modules check and store options, and find their random streams."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxnets.arguments import (
    as_count,
    as_dtype,
    as_switch,
    check_number,
    list_or_none,
)
from jaxnets.functional.convolution.arguments import checked_precision
from jaxnets.functional.shared.windows import padded, padding_pairs, per_axis


def frozen(option: Any) -> Any:
    """Turn lists and arrays into tuples and numbers, at any depth.

    Graph definitions are hashed, and an attribute that is an array would be state.

    Example:
        >>> frozen([np.array([1, 2]), np.array(2.0)])
        ((1, 2), 2.0)
    """
    if isinstance(option, np.ndarray | jax.Array):
        option = option.tolist()
    if isinstance(option, list | tuple):
        return tuple(frozen(part) for part in option)
    return option


def freeze_options(module: Any, spatial_ndim: int | None = None) -> None:
    """Check all fields of a module that is a dataclass, and make them static.

    Args:
        module: The module. Its function has options of the same names.
        spatial_ndim: The number of spatial axes; None if only the input determines it.

    Raises:
        TypeError: If a field has a wrong type.
        ValueError: If a field has a value that is wrong for every input.
    """
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        if value is not field.default and field.name in _CHECKS:
            _CHECKS[field.name](value, field.name, spatial_ndim)
        # Static, since Flax may have taken an array for state.
        setattr(module, field.name, nnx.static(frozen(value)))


def check_sizes(value: Any, name: str, ndim: int | None = None, least: int = 1) -> None:
    """Raise unless `value` is an int, or one int per axis of `ndim`; None is any."""
    per_axis(value, _axes(value, ndim), name, minimum=least)


def check_range(
    value: Any,
    name: str,
    low: int | float,
    high: int | float = math.inf,
    meaning: str = "",
) -> None:
    """Raise unless `value` is a number from `low` to `high`, which may be infinite."""
    numbers = f"{low} or more" if high == math.inf else f"{low} to {high}"
    wanted = f"a number, {numbers}" + (f": {meaning}" if meaning else "")
    check_number(name, value, wanted)
    if not low <= value <= high:
        raise ValueError(f"`{name}` is {value}; wanted {wanted}.")


def check_choice(value: Any, name: str, choices: Iterable[str]) -> None:
    """Raise unless `value` is None or one of the names `choices`."""
    check_optional_name(value, name)
    if value is not None and value not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"`{name}` is {value!r}; wanted None or one of {known}.")


def check_optional_name(value: Any, name: str) -> None:
    """Raise unless `value` is None or a string."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"`{name}` is {value!r}; wanted a name as a string, or None.")


def _axes(value: Any, ndim: int | None) -> int:
    """Return the number of spatial axes; if it is unknown, the length of `value`."""
    return len(list_or_none(value) or [0]) if ndim is None else ndim


def _check_output_shape(value: Any, name: str, ndim: int | None) -> None:
    per_axis(value, _axes(value, None), name, optional=True)


def _check_padding(value: Any, name: str, ndim: int | None) -> None:
    ones = (1,) * (1 if isinstance(value, str) and ndim is None else _axes(value, ndim))
    padding_pairs(
        value, name=name, sizes=ones, window=ones, strides=ones, dilation=ones
    )


def _check_nonzero(value: Any, name: str, ndim: int | None) -> None:
    check_number(name, value, "a number that is not zero")
    if not abs(value) > 0:
        raise ValueError(f"`{name}` is {value}; wanted a number that is not zero.")


def _check_exponent(value: Any, name: str, ndim: int | None) -> None:
    check_number(name, value, "a number greater than 0")
    if not value > 0:
        raise ValueError(f"`{name}` is {value}; wanted a number greater than 0.")


# For each field of a layer the check that needs no input. Defaults are not checked.
_CHECKS: dict[str, Callable[[Any, str, int | None], Any]] = {
    **dict.fromkeys(
        (
            "window_shape",
            "strides",
            "window_dilation",
            "input_dilation",
            "kernel_dilation",
            "spatial_shape",
        ),
        check_sizes,
    ),
    **dict.fromkeys(
        ("ceil_mode", "count_include_pad", "keepdims"),
        lambda value, name, ndim: as_switch(value, name),
    ),
    **dict.fromkeys(
        ("dtype", "preferred_element_type"),
        lambda value, name, ndim: as_dtype(value, name),
    ),
    "divisor": _check_nonzero,
    "implementation": lambda value, name, ndim: check_optional_name(value, name),
    "output_padding": lambda value, name, ndim: check_sizes(value, name, ndim, 0),
    "output_shape": _check_output_shape,
    "p": _check_exponent,
    "padding": _check_padding,
    "padding_mode": lambda value, name, ndim: padded(np.zeros(1), (), value),
    "precision": lambda value, name, ndim: checked_precision(value),
    "spatial_ndim": lambda value, name, ndim: as_count(value, name),
}


def options_of(module: Any) -> dict[str, Any]:
    """Return the fields of a module that is a dataclass, by name."""
    return {
        field.name: getattr(module, field.name) for field in dataclasses.fields(module)
    }


def stream(rngs: Any, name: str) -> nnx.RngStream:
    """Return the stream of `rngs` that a layer draws its random keys from.

    Raises:
        TypeError: If `rngs` is not an `nnx.Rngs`.
        ValueError: If `rngs` has neither that stream nor a default one.
    """
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"`rngs` is {rngs!r}; wanted random streams: `nnx.Rngs(0)`.")
    try:
        return rngs[name]
    except KeyError as error:
        raise ValueError(
            f"`rngs` has the streams {sorted(rngs)} and no `{name}`. Give it one, "
            f"`nnx.Rngs({name}=0, ...)`, or a default for all, `nnx.Rngs(0)`."
        ) from error
