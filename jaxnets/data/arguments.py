"""Checks of the arguments that the data functions share."""

import operator


def check_at_least(name: str, value: int, least: int) -> None:
    """Raise ValueError if the integer `value` of argument `name` is below `least`."""
    if operator.index(value) < least:
        raise ValueError(f"`{name}` is {value}; wanted an integer of at least {least}.")
