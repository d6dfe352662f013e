"""Intervals of quantities that have bounds, such as shares."""

import math


SHARE = (0.0, 1.0)


def bounded_interval(
    mean: float, half: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Return the interval `mean ± half`, bent so that it stays inside of `bounds`.

    Between two bounds it is taken on the arcsine scale, which makes the variance of a
    share nearly the same everywhere, above one bound on the logarithmic scale, by the
    delta method: half the width is multiplied by the scale's derivative at the mean.
    Far from the bounds nothing changes.

    Args:
        mean: Mean of values that are all inside of the bounds.
        half: Half the width of the interval on the values' own scale.
        bounds: The least value, and the greatest or infinity.

    Returns:
        Both ends. At a bound, where no value can differ from the mean, the mean twice.

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
    way = high - low
    share = (mean - low) / way
    angle = math.asin(share**0.5)
    turn = half / way / (2 * (share * (1 - share)) ** 0.5)
    ends = max(angle - turn, 0.0), min(angle + turn, math.pi / 2)
    below, above = (low + way * math.sin(end) ** 2 for end in ends)
    # Rounding must not push the mean out.
    return min(below, mean), max(above, mean)
