"""Handwritten digits that come with scikit-learn: real images, no download."""

import numpy as np

from jaxnets.data.splits import Labelled, Splits, set_aside


def digits(*, seed: int = 0) -> Splits:
    """Return 1,797 handwritten digits of 8x8 pixels, split 60/20/20.

    Train, validation and test have 1,077, 360 and 360 images. The split is stratified:
    each digit has the same share of every part. It depends on `seed` alone.

    Args:
        seed: Chooses another split of the same images.

    Returns:
        `Splits` of `Labelled(x, y)`, NumPy arrays: `x` (N, 8, 8, 1) float32 in [0, 1],
        grey levels in steps of 1/16 with 1 for full ink; `y` (N,) int32, 0 to 9.

    Example:
        >>> from jaxnets.data import digits
        >>> train, validation, test = digits()
        >>> train.x.shape, train.y.shape, test.x.shape
        ((1077, 8, 8, 1), (1077,), (360, 8, 8, 1))

    Source: E. Alpaydin and C. Kaynak 1998, "Optical Recognition of Handwritten Digits",
    UCI Machine Learning Repository; the copy in `sklearn.datasets.load_digits`. That
    copy is the repository's test set only, so results are not those of its papers.
    """
    from sklearn.datasets import load_digits

    x, y = (np.asarray(part) for part in load_digits(return_X_y=True))
    images = (x / 16.0).astype(np.float32).reshape(-1, 8, 8, 1)
    rest, test = set_aside(images, y.astype(np.int32), 0.2, seed)
    train, validation = set_aside(np.asarray(rest.x), np.asarray(rest.y), 0.25, seed)
    return Splits(train, validation, test)


def digits_by_pixel(*, seed: int = 0) -> Splits:
    """Return the images of `digits` as sequences of pixels, row by row.

    `x[n, 8 * row + column, 0] = image[n, row, column, 0]`: a recurrent network reads 64
    time steps from the top left to the bottom right, and has to keep the first rows in
    memory until the last.

    Args:
        seed: As for `digits`; the same seed gives the same split.

    Returns:
        `Splits` of `Labelled(x, y)`, NumPy arrays: `x` (N, 64, 1) float32 in [0, 1],
        axes batch, time, features; `y` (N,) int32, 0 to 9.

    Example:
        >>> from jaxnets.data import digits_by_pixel
        >>> digits_by_pixel().validation.x.shape
        (360, 64, 1)

    Source: Le, Jaitly and Hinton 2015, "A Simple Way to Initialize Recurrent Networks
    of Rectified Linear Units", section 4.2, which does so with MNIST (784 steps).
    """
    return Splits(
        *(
            Labelled(np.asarray(part.x).reshape(-1, 64, 1), part.y)
            for part in digits(seed=seed)
        )
    )
