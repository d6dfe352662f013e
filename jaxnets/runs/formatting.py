"""How numbers and estimates are written in the sentences of verdicts."""

import math
from collections.abc import Callable

from jaxnets.runs.estimates import Estimate


def format_number(value: float) -> str:
    """Write a number with three digits, or as a power of ten where that is shorter.

    Example:
        >>> format_number(0.6512), format_number(3e-8), format_number(12345.0)
        ('0.651', '3*10^-8', '10^4')
        >>> format_number(4752.3), format_number(0.0)
        ('4752', '0')
    """
    if 1e3 <= abs(value) < 1e4:
        return f"{value:.0f}"
    if value == 0 or 1e-3 <= abs(value) < 1e4 or not math.isfinite(value):
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    power = f"10^{int(exponent)}"
    return power if mantissa == "1" else f"{mantissa}*{power}"


def format_factor(value: float) -> str:
    """Write a factor; near 1 with the digits that tell it from 1.

    Example:
        >>> format_factor(1.00336), format_factor(0.99961), format_factor(0.6512)
        ('1.0034', '0.99961', '0.651')
    """
    written, distance = format_number(value), abs(value - 1)
    if written != "1" or distance < 1e-6:
        return written
    return f"{value:.{1 - math.floor(math.log10(distance))}f}"


def power_of_ten(exponent: float) -> float:
    """Return `10^exponent`, limited to what a float can hold."""
    return 10.0 ** min(exponent, 308.0)


def format_power_of_ten(exponent: float) -> str:
    """Write `10^exponent`, which may be far outside the range of a float.

    Example:
        >>> [format_power_of_ten(x) for x in (-0.2, -500.52, 7.999)]
        ['0.631', '3*10^-501', '10^8']
    """
    if -3 <= exponent < 4:
        return format_number(10**exponent)
    whole = math.floor(exponent)
    mantissa = round(10 ** (exponent - whole))
    if mantissa == 10:
        mantissa, whole = 1, whole + 1
    return f"10^{whole}" if mantissa == 1 else f"{mantissa}*10^{whole}"


def format_estimate(
    value: Estimate, write: Callable[[float], str] = format_number, unit: str = ""
) -> str:
    """Write a mean, its unit, and its interval.

    Example:
        >>> format_estimate(Estimate(0.65, 0.61, 0.69, 5))
        '0.65 (95 % interval 0.61 to 0.69, 5 seeds)'
        >>> format_estimate(Estimate(0.65, None, None, 1), unit=" nats")
        '0.65 nats (one seed, so no interval)'
    """
    if value.low is None or value.high is None:
        certainty = "one seed, so no interval"
    else:
        ends = f"{write(value.low)} to {write(value.high)}"
        certainty = f"95 % interval {ends}, {value.seeds} seeds"
    return f"{write(value.mean)}{unit} ({certainty})"


def format_percent(value: Estimate, unit: str) -> str:
    """Write a share in percent and its interval; `unit` starts with its `%`.

    Example:
        >>> format_percent(Estimate(0.65, None, None, 1), " % of the units")
        '65 % of the units (one seed, so no interval)'
    """
    return format_estimate(value, lambda share: f"{100 * share:.3g}", unit)
