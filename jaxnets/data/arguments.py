"""Checks of the arguments that the data functions share."""

import os

from jaxnets.arguments import as_count, as_switch


def check_seed(seed: object) -> None:
    """Check the seed of a split.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is not from 0 to 2^32 - 1.
    """
    # NumPy's random generators take seeds as integers of 32 bits.
    as_count(seed, "seed", minimum=0, maximum=2**32 - 1)


def check_data_set(folder: object, download: object, seed: object) -> None:
    """Check the arguments of a data set that is read from files.

    Raises:
        TypeError: If one has a wrong type.
        ValueError: If `folder` is empty or not a folder, or `seed` is out of
            range.
    """
    check_seed(seed)
    as_switch(download, "download")
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
