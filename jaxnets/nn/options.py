"""How modules store the options of their functions, and find their random streams."""

import dataclasses
from typing import Any

from flax import nnx


def frozen(option: Any) -> Any:
    """Turn lists into tuples, at any depth, because graph definitions are hashed."""
    if isinstance(option, list | tuple):
        return tuple(frozen(part) for part in option)
    return option


def freeze_options(module: Any) -> None:
    """Turn lists into tuples in all fields of a module that is a dataclass."""
    for field in dataclasses.fields(module):
        setattr(module, field.name, frozen(getattr(module, field.name)))


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
