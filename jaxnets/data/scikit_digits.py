"""Handwritten digits that come with scikit-learn: real images without a download."""

import functools

import numpy as np

from jaxnets.data.arguments import check_seed
from jaxnets.data.splits import Labelled, Splits, split_off


def digits(*, seed: int = 0) -> Splits:
    """Return 1,797 handwritten digits of 8x8 pixels, split 60/20/20.

    The training, validation and test splits have 1,077, 360 and 360 images. They are
    stratified by digit and depend on `seed` only.

    Args:
        seed: Seed of the split.

    Returns:
        `Splits` of `Labelled(x, y)`, NumPy arrays: `x` (N, 8, 8, 1) float32 in [0, 1],
        in steps of 1/16, where 1 is full ink; `y` (N,) int32, 0 to 9.

    Raises:
        TypeError: If `seed` is not an integer.
        ValueError: If `seed` is not from 0 to 2^32 - 1.

    Example:
        >>> from jaxnets.data import digits
        >>> train, validation, test = digits()
        >>> train.x.shape, train.y.shape, test.x.shape
        ((1077, 8, 8, 1), (1077,), (360, 8, 8, 1))

    Source: E. Alpaydin and C. Kaynak 1998, "Optical Recognition of Handwritten Digits",
    UCI Machine Learning Repository, as in `sklearn.datasets.load_digits`. scikit-learn
    has only the test set of that repository, so results differ from those of its
    papers.
    """
    check_seed(seed)
    from sklearn.datasets import load_digits

    x, y = (np.asarray(array) for array in load_digits(return_X_y=True))
    images = (x / 16.0).astype(np.float32).reshape(-1, 8, 8, 1)
    split = functools.partial(split_off, seed=seed, source="digits")
    rest, test = split(images, y.astype(np.int32), 0.2)
    train, validation = split(np.asarray(rest.x), np.asarray(rest.y), 0.25)
    return Splits(train, validation, test)


def digits_by_pixel(*, seed: int = 0) -> Splits:
    """Return the images of `digits` as sequences of pixels, row by row.

    `x[n, 8 * row + column, 0] = image[n, row, column, 0]`: a recurrent network reads 64
    time steps, from the top left to the bottom right, and has to remember the first
    rows until the end.

    Args:
        seed: Seed of the split; `digits` splits in the same way with the same seed.

    Returns:
        `Splits` of `Labelled(x, y)`, NumPy arrays: `x` (N, 64, 1) float32 in [0, 1],
        with the axes batch, time and features; `y` (N,) int32, 0 to 9.

    Raises:
        TypeError: If `seed` is not an integer.
        ValueError: If `seed` is not from 0 to 2^32 - 1.

    Example:
        >>> from jaxnets.data import digits_by_pixel
        >>> digits_by_pixel().validation.x.shape
        (360, 64, 1)

    Source: Le, Jaitly and Hinton 2015, "A Simple Way to Initialize Recurrent Networks
    of Rectified Linear Units", section 4.2, which reads MNIST like this in 784 steps.
    """
    return Splits(
        *(
            Labelled(np.asarray(split.x).reshape(-1, 64, 1), split.y)
            for split in digits(seed=seed)
        )
    )
