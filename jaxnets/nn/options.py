"""How modules hold the options of their functions."""

from typing import Any

from flax import nnx


def frozen(option: Any) -> Any:
    """Turn lists into tuples, at any depth: definitions of modules are hashed."""
    if isinstance(option, list | tuple):
        return tuple(frozen(part) for part in option)
    return option


def stream(rngs: Any, name: str) -> nnx.RngStream:
    """Return the stream of `rngs` that a layer draws its random keys from.

    Raises:
        TypeError: If `rngs` is no `nnx.Rngs`.
        ValueError: If it has neither that stream nor a default one.
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
