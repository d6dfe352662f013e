"""Confidence intervals of quantities that have bounds, such as shares."""

import math


# The least value that a quantity can take, and the greatest.
Bounds = tuple[float, float]
SHARE = (0.0, 1.0)
NOT_NEGATIVE = (0.0, math.inf)
# Of a correlation, or of a difference of shares.
SIGNED_SHARE = (-1.0, 1.0)
UNBOUNDED = (-math.inf, math.inf)


def bounded_interval(mean: float, half: float, bounds: Bounds) -> tuple[float, float]:
    """Return the interval `mean ± half`, transformed so that it stays inside `bounds`.

    The interval is computed on another scale and transformed back. Between two bounds
    that is the arcsine scale, on which the variance of a share is nearly constant;
    above one bound it is the logarithmic scale. By the delta method the half-width on
    the other scale is `half` times the derivative of the scale at the mean. Far from
    the bounds nothing changes.

    Args:
        mean: Mean of values that all lie inside the bounds.
        half: Half the width of the interval on the scale of the values.
        bounds: The least value, and the greatest or infinity.

    Returns:
        Both ends. If the mean is one of the bounds, all values equal it, and both ends
        are the mean.

    Example:
        >>> low, high = bounded_interval(0.02, 0.03, SHARE)
        >>> round(low, 4), round(high, 4)
        (0.0012, 0.0607)
        >>> low, high = bounded_interval(0.5, 0.003, SHARE)
        >>> round(low, 3), round(high, 3)
        (0.497, 0.503)
    """
    low, high = bounds
    if not low < mean < high:
        return mean, mean
    if math.isinf(high):
        factor = math.exp(min(half / (mean - low), 300.0))
        return low + (mean - low) / factor, low + (mean - low) * factor
    width = high - low
    share = (mean - low) / width
    angle = math.asin(share**0.5)
    half_angle = half / width / (2 * (share * (1 - share)) ** 0.5)
    angles = max(angle - half_angle, 0.0), min(angle + half_angle, math.pi / 2)
    below, above = (low + width * math.sin(end) ** 2 for end in angles)
    # Rounding must not leave the mean outside the interval.
    return min(below, mean), max(above, mean)
