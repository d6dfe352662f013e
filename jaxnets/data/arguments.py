"""Checks of the arguments that the data functions share."""

import operator
import os


# NumPy's random generators take seeds as integers of 32 bits.
SEEDS_END = 2**32


def check_at_least(name: str, value: object, least: int) -> None:
    """Check that the argument `name` is an integer of at least `least`.

    Raises:
        TypeError: If `value` is not an integer.
        ValueError: If it is too small.
    """
    if _integer(name, value) < least:
        raise ValueError(f"`{name}` is {value}; wanted an integer of at least {least}.")


def check_seed(seed: object) -> None:
    """Check the seed of a split.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is not from 0 to 2^32 - 1.
    """
    if not 0 <= _integer("seed", seed) < SEEDS_END:
        raise ValueError(f"`seed` is {seed}; wanted an integer from 0 to 2^32 - 1.")


def check_data_set(folder: object, download: object, seed: object) -> None:
    """Check the arguments of a data set that is read from files.

    Raises:
        TypeError: If one has a wrong type.
        ValueError: If `folder` is empty or not a folder, or `seed` is
            out of range.
    """
    check_seed(seed)
    if not isinstance(download, bool):
        raise TypeError(f"`download` is {download!r}; wanted True or False.")
    if folder is None:
        return
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(
            f"`folder` is {folder!r}; wanted a path, such as 'data/mnist', or None for "
            "the default folder."
        )
    path = os.path.expanduser(folder)
    if not path or (os.path.lexists(path) and not os.path.isdir(path)):
        raise ValueError(f"`folder` is {str(folder)!r}; wanted the path of a folder.")


def _integer(name: str, value: object) -> int:
    """Return `value` as an integer, which `True` is not."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise TypeError(f"`{name}` is {value!r}; wanted an integer.") from None
