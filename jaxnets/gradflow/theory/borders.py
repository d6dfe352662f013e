"""The loss of signal and gradient at the zero-padded border of an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnets.arguments import as_count, list_or_none


def conv_border_fraction(
    size: int | Sequence[int], window: int | Sequence[int]
) -> float:
    """Return the fraction of a SAME convolution's window that falls inside the image.

    It is the mean over all positions of the image. For one axis of size n and a window
    of size 3 it is `(3n - 2) / (3n)`; the fractions of several axes multiply. The rest
    of the window reads zeros, so one layer with stride 1 multiplies the squared norm of
    a uniform signal, or of a uniform gradient, by this fraction. For small images it
    matters: 0.84 for a 3 x 3 window on 8 x 8.

    After several layers the gradient is no longer uniform. It is larger in the middle
    of the image, where less is lost: for deep stacks use `conv_border_rate`.

    Args:
        size: Size n of each spatial axis; ints for `size` and `window` mean one axis.
        window: Size k of the window along each spatial axis.

    Returns:
        The fraction, above 0 and at most 1.

    Raises:
        TypeError: If an entry is not an int.
        ValueError: If an entry is below 1 or the lengths differ.

    Example:
        >>> from jaxnets.gradflow.theory import conv_border_fraction
        >>> round(conv_border_fraction((8, 8), (3, 3)), 4) == round((22 / 24) ** 2, 4)
        True
    """
    maps = _border_maps(size, window)
    return float(np.prod([m.sum() / len(m) for m in maps]))


def conv_border_rate(size: int | Sequence[int], window: int | Sequence[int]) -> float:
    """Return the factor per layer of the squared gradient in a deep SAME stack.

    The squared gradient at each position is the mean over the window of the squared
    gradients one layer above, which are zero outside the image. The rate is the largest
    eigenvalue of this linear map, to which the factor per layer converges with depth.
    For one axis of size n and a window of size 3 it is
    `(1 + 2 cos(pi / (n + 1))) / 3`; the rates of several axes multiply.
    `conv_border_fraction` is the factor of a single layer.

    Args:
        size: Size n of each spatial axis; ints for `size` and `window` mean one axis.
        window: Size k of the window along each spatial axis.

    Returns:
        The rate, above 0 and at most 1.

    Raises:
        TypeError: If an entry is not an int.
        ValueError: If an entry is below 1 or the lengths differ.

    Example:
        >>> from jaxnets.gradflow.theory import conv_border_rate
        >>> round(conv_border_rate((8, 8), (3, 3)), 3)
        0.921
    """
    maps = _border_maps(size, window)
    return float(np.prod([np.abs(np.linalg.eigvals(m)).max() for m in maps]))


def _border_maps(size: Any, window: Any) -> list[np.ndarray]:
    """Return for each axis the matrix that averages over the window in the image."""
    sizes, windows = _axes(size, "size"), _axes(window, "window")
    if len(sizes) != len(windows) or not sizes:
        raise ValueError(
            f"`size` is {size} and `window` is {window}; wanted one positive int per "
            "spatial axis in both, such as (8, 8) and (3, 3)."
        )
    return [_border_map(n, k) for n, k in zip(sizes, windows, strict=True)]


def _axes(value: Any, name: str) -> list[int]:
    """Return one positive int per spatial axis."""
    axes = list_or_none(value)
    if axes is None:
        return [as_count(value, name)]
    return [as_count(n, f"{name}[{axis}]") for axis, n in enumerate(axes)]


def _border_map(size: int, window: int) -> np.ndarray:
    positions = np.arange(size)
    offsets = positions[None, :] - positions[:, None]
    below = (window - 1) // 2
    inside = (offsets >= -below) & (offsets < window - below)
    return inside / window
