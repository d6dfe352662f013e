"""What zero padding at the border of an image takes away from a gradient."""

from collections.abc import Sequence

import numpy as np


def conv_border_fraction(
    size: int | Sequence[int], window: int | Sequence[int]
) -> float:
    """Return the share of a SAME convolution's taps that fall inside the image.

    For one axis of n places and a window of k taps it is the mean over places of the
    taps inside, over k, for k = 3 `(3n - 2) / (3n)`; axes multiply. The rest reads
    zeros, so one layer with stride 1 lowers the squared norm of an even signal, or of a
    gradient, by this factor. It counts on small images: 0.84 for 3 x 3 on 8 x 8.

    After several layers the gradient is no longer even, it gathers in the middle where
    less is lost: deep stacks follow `conv_border_rate`.

    Args:
        size: Places along each spatial axis; an int with an int `window` is one axis.
        window: Taps along each spatial axis.

    Returns:
        The share, above 0 and at most 1.

    Raises:
        ValueError: If an entry is below 1 or the lengths differ.

    Example:
        >>> round(conv_border_fraction((8, 8), (3, 3)), 4) == round((22 / 24) ** 2, 4)
        True
    """
    maps = _border_maps(size, window)
    return float(np.prod([m.sum() / len(m) for m in maps]))


def conv_border_rate(size: int | Sequence[int], window: int | Sequence[int]) -> float:
    """Return the factor per layer that a deep SAME stack loses at its borders.

    The squared gradient at each place is the mean over the window of those one layer
    up, zero outside. The rate is the largest eigenvalue of that map; for k = 3 on n
    places `(1 + 2 cos(pi / (n + 1))) / 3`; axes multiply. Deep stacks tend to it,
    where `conv_border_fraction` is what the first layer loses.

    Args:
        size: Places along each spatial axis; an int with an int `window` is one axis.
        window: Taps along each spatial axis.

    Returns:
        The rate, above 0 and at most 1.

    Raises:
        ValueError: If an entry is below 1 or the lengths differ.

    Example:
        >>> round(conv_border_rate((8, 8), (3, 3)), 3)
        0.921
    """
    maps = _border_maps(size, window)
    return float(np.prod([np.abs(np.linalg.eigvals(m)).max() for m in maps]))


def _border_maps(
    size: int | Sequence[int], window: int | Sequence[int]
) -> list[np.ndarray]:
    """For each axis the matrix that averages over the taps inside the image."""
    sizes = (size,) if isinstance(size, int) else tuple(size)
    windows = (window,) if isinstance(window, int) else tuple(window)
    if len(sizes) != len(windows) or min((*sizes, *windows), default=0) < 1:
        raise ValueError(
            f"`size` is {size} and `window` is {window}; wanted one positive int per "
            "spatial axis in both, such as (8, 8) and (3, 3)."
        )
    return [_border_map(n, k) for n, k in zip(sizes, windows, strict=True)]


def _border_map(size: int, window: int) -> np.ndarray:
    places = np.arange(size)
    offsets = places[None, :] - places[:, None]
    below = (window - 1) // 2
    inside = (offsets >= -below) & (offsets < window - below)
    return inside / window
