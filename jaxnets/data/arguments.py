"""Checks of the numbers that the data functions take."""

import operator


def check_at_least(name: str, value: int, least: int) -> None:
    """Raise ValueError unless the integer `value` of argument `name` is in range."""
    if operator.index(value) < least:
        raise ValueError(f"`{name}` is {value}; wanted an integer of at least {least}.")
