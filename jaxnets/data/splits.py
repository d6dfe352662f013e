"""The types that data sets are returned as, and how a data set is split."""

import math
from typing import NamedTuple

import numpy as np

from jaxnets.typing import ArrayLike


class Labelled(NamedTuple):
    """Examples with their labels or targets; a pytree.

    Attributes:
        x: Inputs, one example per entry of the leading axis.
        y: Labels or targets, with the same leading axis.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from jaxnets.data import Labelled
        >>> data = Labelled(np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))
        >>> jax.tree.map(lambda rows: rows[:2], data).y
        array([0, 1])
    """

    x: ArrayLike
    y: ArrayLike


class Splits(NamedTuple):
    """The training, validation and test examples of a data set.

    Attributes:
        train: The examples that the parameters are fitted to.
        validation: The examples that decisions are based on, such as when to stop.
        test: The examples for one evaluation at the end.

    Example:
        >>> from jaxnets.data import digits
        >>> [len(split.y) for split in digits()]
        [1077, 360, 360]
    """

    train: Labelled
    validation: Labelled
    test: Labelled


def split_off(
    x: np.ndarray, y: np.ndarray, share: float, seed: int, source: str
) -> tuple[Labelled, Labelled]:
    """Shuffle `(x, y)` and split off the share `share`, stratified by class.

    Args:
        x: (N, ...) examples.
        y: (N,) integer labels.
        share: Share that is split off, between 0 and 1, rounded up to whole examples.
        seed: Seed of the shuffle.
        source: Where the examples come from, for the error.

    Returns:
        The remaining examples, and those that were split off.

    Raises:
        ValueError: If there are too few examples for both to have every class.
    """
    from sklearn.model_selection import train_test_split

    split = math.ceil(share * len(y))
    classes, counts = np.unique(y, return_counts=True)
    smallest = min(counts, default=0)
    if smallest < 2 or min(split, len(y) - split) < len(classes):
        raise ValueError(
            f"{source}: {len(y)} examples of {len(classes)} classes are too few; "
            "wanted at least two of each class, so that the part that is split off "
            f"({share:.0%}) and the rest have all classes. Is the data set complete?"
        )
    rows = np.arange(len(y))
    rest, off = train_test_split(rows, test_size=share, stratify=y, random_state=seed)
    return Labelled(x[rest], y[rest]), Labelled(x[off], y[off])


def split_in_tenths(x: np.ndarray, y: np.ndarray, source: str) -> Splits:
    """Split `(x, y)` into eight tenths, a tenth and a tenth, stratified by class.

    The arguments and the errors are those of `split_off`; the seed is 0.
    """
    rest, test = split_off(x, y, 0.1, 0, source)
    rest_x, rest_y = np.asarray(rest.x), np.asarray(rest.y)
    return Splits(*split_off(rest_x, rest_y, 1 / 9, 0, source), test)


def unit_interval(data: Labelled) -> Labelled:
    """Convert images of bytes to float32 in [0, 1], and labels to int32."""
    # C order, even if `x` is a transposed view of colour planes.
    x = np.asarray(data.x).astype(np.float32, order="C")
    x /= 255
    return Labelled(x, np.asarray(data.y).astype(np.int32))
