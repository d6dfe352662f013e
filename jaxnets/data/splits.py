"""What every data set is returned as, and how a part of one is set aside."""

from typing import NamedTuple

import numpy as np

from jaxnets.typing import ArrayLike


class Labelled(NamedTuple):
    """Examples and what is to be predicted of them, row by row; a pytree.

    Attributes:
        x: Inputs, one example per entry of the leading axis.
        y: Labels or targets, of the same leading axis.

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
    """A data set in the three parts that it is used in.

    Attributes:
        train: What the parameters are fitted to.
        validation: What decisions are made on, such as when to stop.
        test: What is looked at once, at the end.

    Example:
        >>> from jaxnets.data import digits
        >>> [len(part.y) for part in digits()]
        [1077, 360, 360]
    """

    train: Labelled
    validation: Labelled
    test: Labelled


def set_aside(
    x: np.ndarray, y: np.ndarray, size: float, seed: int
) -> tuple[Labelled, Labelled]:
    """Part `(x, y)` into the share `1 - size` and the share `size`, class by class.

    The rows are shuffled, and each class keeps its share in both parts.

    Args:
        x: (N, ...) examples.
        y: (N,) integer labels.
        size: Share of the second part, between 0 and 1, rounded up to whole rows.
        seed: The same seed gives the same parts.

    Returns:
        The larger part and the part that was set aside.

    Raises:
        ValueError: If a class has too few examples to stand in both parts.
    """
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(y))
    kept, aside = train_test_split(rows, test_size=size, stratify=y, random_state=seed)
    return Labelled(x[kept], y[kept]), Labelled(x[aside], y[aside])


def unit_interval(data: Labelled) -> Labelled:
    """Turn images of bytes into float32 in [0, 1], and labels into int32."""
    # In C order, also where `x` is a transposed view of colour planes.
    x = np.asarray(data.x).astype(np.float32, order="C")
    x /= 255
    return Labelled(x, np.asarray(data.y).astype(np.int32))
