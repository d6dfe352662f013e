"""Means over seeds and their intervals. Verdicts, charts and tables all use these."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from jaxnets.runs.intervals import UNBOUNDED, Bounds, bounded_interval
from jaxnets.runs.records import Record


class Estimate(NamedTuple):
    """A mean over seeds and its 95 % confidence interval.

    The interval is Student's t interval, `mean ± t s / sqrt(n)` with n - 1 degrees of
    freedom, for every number of seeds from two on. One seed has no interval.

    Attributes:
        mean: Mean of the values.
        low: Lower end of the interval; None with one seed.
        high: Upper end of the interval; None with one seed.
        seeds: Number of seeds with a finite value.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of the interval; with one seed the mean twice."""
        if self.low is None or self.high is None:
            return self.mean, self.mean
        return self.low, self.high

    def map(self, increasing: Callable[[float], float]) -> "Estimate":
        """Return the estimate after a change of scale by an increasing function."""
        low, high = (
            None if end is None else increasing(end) for end in (self.low, self.high)
        )
        return Estimate(increasing(self.mean), low, high, self.seeds)

    def __neg__(self) -> "Estimate":
        """Return the estimate of the negated quantity."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Estimate(-self.mean, low, high, self.seeds)

    def within(self, bounds: Bounds) -> "Estimate":
        """Return the estimate with an interval that stays inside `bounds`.

        Example:
            >>> from jaxnets.runs.intervals import SHARE
            >>> Estimate(0.02, -0.01, 0.05, 3).within(SHARE)
            Estimate(mean=0.02, low=0.0012..., high=0.060..., seeds=3)
        """
        if bounds == UNBOUNDED or self.low is None or self.high is None:
            return self
        half = (self.high - self.low) / 2
        low, high = bounded_interval(self.mean, half, bounds)
        return self._replace(low=low, high=high)


def estimate(values: Iterable[float]) -> Estimate | None:
    """Estimate the mean of one value per seed; values that are not finite are left out.

    Returns:
        The estimate, or None if no value is finite.

    Example:
        >>> estimate([1.0, 2.0, 3.0, float("nan")])
        Estimate(mean=2.0, low=-0.48..., high=4.48..., seeds=3)
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    mean, count = statistics.fmean(finite), len(finite)
    if count == 1:
        return Estimate(mean, None, None, 1)
    deviation = math.hypot(*(value - mean for value in finite))
    standard_error = deviation / math.sqrt(count * (count - 1))
    # Imported here, because it takes a third of the time of importing this library.
    from scipy.special import stdtrit

    half = float(stdtrit(count - 1, 0.975)) * standard_error
    return Estimate(mean, mean - half, mean + half, count)


def over_seeds(records: Iterable[Record]) -> Estimate | None:
    """Estimate the mean of `records` over seeds, after averaging within each seed.

    Several records of one seed, such as the layers of one network, are not independent
    samples, so they must not narrow the interval. Values that are not finite are left
    out.

    Returns:
        The estimate, or None if no record is finite.
    """
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for record in records:
        if math.isfinite(record.value):
            by_seed[record.seed].append(record.value)
    return estimate(statistics.fmean(values) for values in by_seed.values())


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float]
) -> Estimate | None:
    """Estimate `mean(second - first)` over the seeds that both mappings have.

    Networks of one seed share their data and, as far as their shapes allow, their
    initial weights. What a seed does to both networks cancels in the difference, so the
    interval is the paired t interval of the differences.

    Args:
        first: Value by seed.
        second: Value by seed.

    Returns:
        The estimate, or None if no seed has a finite difference.

    Example:
        >>> paired_difference({0: 1.0, 1: 5.0}, {0: 2.0, 1: 6.0, 2: 9.0})
        Estimate(mean=1.0, low=1.0, high=1.0, seeds=2)
    """
    shared = [seed for seed in first if seed in second]
    return estimate(second[seed] - first[seed] for seed in shared)


def exponents(records: Iterable[Record]) -> dict[int, float]:
    """Return by seed the exponent k of the law `10^value = constant * size^k`.

    It is the least-squares slope of the values, which are logarithms to base 10, over
    log10 of the sizes. Values that are not finite are left out, and so are seeds with
    fewer than two sizes.

    Example:
        >>> exponents(
        ...     Record("rate", "net", "net", depth, 0, 0, "log10_rate", "", None, value)
        ...     for depth, value in ((10.0, 3.0), (1000.0, 0.0))
        ... )
        {0: -1.5}
    """
    by_seed: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for record in records:
        if math.isfinite(record.value):
            by_seed[record.seed].append((math.log10(record.size), record.value))
    return {
        seed: statistics.linear_regression(*zip(*points, strict=True)).slope
        for seed, points in by_seed.items()
        if len({size for size, _ in points}) > 1
    }
