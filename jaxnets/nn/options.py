"""How modules hold the options of their functions."""

from typing import Any


def frozen(option: Any) -> Any:
    """Turn lists into tuples, at any depth: definitions of modules are hashed."""
    if isinstance(option, list | tuple):
        return tuple(frozen(part) for part in option)
    return option
