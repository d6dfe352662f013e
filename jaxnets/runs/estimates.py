"""Means over seeds with their intervals, and how to say them."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from scipy.special import stdtrit

from jaxnets.runs.intervals import SHARE, bounded_interval


class Estimate(NamedTuple):
    """A mean over seeds and its 95 % interval (Student's t); None from one seed."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    def map(self, increasing: Callable[[float], float]) -> "Estimate":
        """Return the estimate on another, increasing scale."""
        low, high = (
            None if end is None else increasing(end) for end in (self.low, self.high)
        )
        return Estimate(increasing(self.mean), low, high, self.seeds)

    def as_share(self) -> "Estimate":
        """Return the estimate of a share: its interval stays within 0 and 1."""
        if self.low is None or self.high is None:
            return self
        half = (self.high - self.low) / 2
        low, high = bounded_interval(self.mean, half, SHARE)
        return self._replace(low=low, high=high)

    @property
    def bounds(self) -> tuple[float, float]:
        """Both ends of the interval; from one seed the mean twice."""
        return (
            self.mean if self.low is None else self.low,
            self.mean if self.high is None else self.high,
        )


def estimate(values: Iterable[float]) -> Estimate | None:
    """Estimate the mean of the finite `values`, one for each seed; None without any.

    Example:
        >>> estimate([1.0, 2.0, 3.0, float("nan")])
        Estimate(mean=2.0, low=-0.48..., high=4.48..., seeds=3)
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    mean = statistics.fmean(finite)
    if len(finite) == 1:
        return Estimate(mean, None, None, 1)
    error = math.sqrt(statistics.variance(finite) / len(finite))
    return _with_interval(mean, error, float(len(finite) - 1), len(finite))


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float]
) -> Estimate | None:
    """Estimate `mean(second - first)` over the seeds that both have.

    Networks of one seed share their data and, as far as their shapes allow, their
    weights. What a seed does to both then cancels, so the interval is that of the
    differences (the paired t interval), not Welch's. None where no seed is finite in
    both.

    Example:
        >>> paired_difference({0: 1.0, 1: 5.0}, {0: 2.0, 1: 6.0, 2: 9.0})
        Estimate(mean=1.0, low=1.0, high=1.0, seeds=2)
    """
    shared = [seed for seed in first if seed in second]
    return estimate(second[seed] - first[seed] for seed in shared)


def _with_interval(mean: float, error: float, freedom: float, seeds: int) -> Estimate:
    half = float(stdtrit(freedom, 0.975)) * error
    return Estimate(mean, mean - half, mean + half, seeds)


def in_words(value: float) -> str:
    """Write a number with three digits, or as a power of ten where that is shorter.

    Example:
        >>> in_words(0.6512), in_words(3e-8), in_words(12345.0), in_words(0.0)
        ('0.651', '3*10^-8', '10^4', '0')
        >>> in_words(4752.3)
        '4752'
    """
    if 1e3 <= abs(value) < 1e4:
        return f"{value:.0f}"
    if value == 0 or 1e-3 <= abs(value) < 1e4 or not math.isfinite(value):
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    power = f"10^{int(exponent)}"
    return power if mantissa == "1" else f"{mantissa}*{power}"


def power(decades: float) -> float:
    """Return `10^decades`, at most what a float holds."""
    return 10.0 ** min(decades, 308.0)


def power_in_words(decades: float) -> str:
    """Write `10^decades`, also where it is far outside of what a float holds.

    Example:
        >>> power_in_words(-0.2), power_in_words(-500.52), power_in_words(7.999)
        ('0.631', '3*10^-501', '10^8')
    """
    if -3 <= decades < 4:
        return in_words(10**decades)
    exponent = math.floor(decades)
    mantissa = round(10 ** (decades - exponent))
    if mantissa == 10:
        mantissa, exponent = 1, exponent + 1
    return f"10^{exponent}" if mantissa == 1 else f"{mantissa}*10^{exponent}"


def with_interval(
    value: Estimate, write: Callable[[float], str] = in_words, unit: str = ""
) -> str:
    """Write the mean, its unit, and how sure it is.

    Example:
        >>> with_interval(Estimate(0.65, 0.61, 0.69, 5))
        '0.65 (95 % interval 0.61 to 0.69, 5 seeds)'
        >>> with_interval(Estimate(0.65, None, None, 1), unit=" nats")
        '0.65 nats (one seed, so no interval)'
    """
    if value.low is None or value.high is None:
        certainty = "one seed, so no interval"
    else:
        ends = f"{write(value.low)} to {write(value.high)}"
        certainty = f"95 % interval {ends}, {value.seeds} seeds"
    return f"{write(value.mean)}{unit} ({certainty})"
