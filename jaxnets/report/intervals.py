"""The mean over seeds and how far to trust it; how numbers are written."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from jaxnets.report.html.markup import typeset
from jaxnets.runs.intervals import SHARE as SHARE
from jaxnets.runs.intervals import bounded_interval
from jaxnets.runs.records import Record


CONFIDENCE = 0.95
# What a quantity can be, which its interval does not leave.
NOT_NEGATIVE = (0.0, math.inf)
ANYTHING = (-math.inf, math.inf)


class Estimate(NamedTuple):
    """A mean over seeds with its interval.

    Attributes:
        mean: Mean of the seeds' values; NaN where none is finite.
        low: Lower end of the interval; the mean itself with one seed.
        high: Upper end.
        seeds: How many seeds have a finite value.
        left_out: How many values were not finite and do not count.
    """

    mean: float
    low: float
    high: float
    seeds: int
    left_out: int

    def within(self, bounds: tuple[float, float]) -> "Estimate":
        """Return the estimate with an interval that stays inside of `bounds`.

        Example:
            >>> Estimate(0.02, -0.01, 0.05, 3, 0).within(SHARE)
            Estimate(mean=0.02, low=0.0012..., high=0.060..., seeds=3, left_out=0)
        """
        # The range of two seeds is inside already.
        if bounds == ANYTHING or self.seeds < 3:
            return self
        half = (self.high - self.low) / 2
        low, high = bounded_interval(self.mean, half, bounds)
        return self._replace(low=low, high=high)


def estimate(values: Iterable[float]) -> Estimate:
    """Return the mean of one value a seed, with its interval.

    From three seeds on `mean ± t s / sqrt(n)`, the 95 % interval of Student's t with
    n - 1 degrees of freedom; with two seeds the range of the two.

    Example:
        >>> estimate([1.0, 2.0, 3.0])
        Estimate(mean=2.0, low=-0.484..., high=4.484..., seeds=3, left_out=0)
        >>> estimate([1.0, float("inf")])
        Estimate(mean=1.0, low=1.0, high=1.0, seeds=1, left_out=1)
    """
    given = np.asarray(list(values), np.float64)
    finite = given[np.isfinite(given)]
    count, left_out = finite.size, given.size - finite.size
    if count == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, left_out)
    mean = float(finite.mean())
    if count < 3:
        low, high = float(finite.min()), float(finite.max())
    else:
        quantile = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
        half = quantile * float(finite.std(ddof=1)) / math.sqrt(count)
        low, high = mean - half, mean + half
    return Estimate(mean, low, high, count, left_out)


def over_seeds(records: Iterable[Record]) -> Estimate:
    """Return the estimate of `records`, after averaging within each seed.

    Records of one seed, such as several layers of one network, are no independent
    witnesses and must not narrow the interval.
    """
    by_seed = defaultdict(list)
    left_out = 0
    for record in records:
        if math.isfinite(record.value):
            by_seed[record.seed].append(record.value)
        else:
            left_out += 1
    found = estimate(sum(values) / len(values) for values in by_seed.values())
    return found._replace(left_out=left_out)


def describe_intervals(counts: Iterable[int], drawn_as: str = "Intervals") -> str:
    """Return the sentence on what the intervals are, for the numbers of seeds seen.

    Example:
        >>> describe_intervals([3, 3], "Bands")
        'Lines: mean of 3 seeds. Bands: 95 % t-interval of the mean.'
        >>> describe_intervals([1])
        'One seed only, so there is no interval.'
    """
    counts = list(counts)
    most, least = max(counts, default=0), min(counts, default=0)
    if most == 0:
        return "Nothing was measured."
    if most == 1:
        return "One seed only, so there is no interval."
    seeds = f"{most} seeds" if least == most else f"up to {most} seeds"
    if most == 2:
        return f"Lines: mean of {seeds}. {drawn_as}: the range of the two."
    few = "" if least > 2 else " (with two seeds their range, with one seed none)"
    return f"Lines: mean of {seeds}. {drawn_as}: 95 % t-interval of the mean{few}."


def number(value: object, digits: int = 3) -> str:
    """Write a number for a reader: few digits, a true minus sign; None as a dash.

    Example:
        >>> number(-0.41234), number(12345.6), number(None), number(float("nan"))
        ('−0.412', '12,346', '–', 'not a number')
        >>> number(2.4e-8)
        '2.4×10⁻⁸'
    """
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "−infinite"
    whole = isinstance(value, int) or abs(value) >= 999.5
    written = f"{value:,.0f}" if whole and abs(value) < 1e9 else f"{value:.{digits}g}"
    mantissa, e, exponent = written.partition("e")
    if e:
        return typeset(f"{mantissa}*10^{int(exponent)}")
    return written.replace("-", "−")


def numbers(values: Sequence[float]) -> list[str]:
    """Write finite numbers that are compared, with the decimals that tell them apart.

    Example:
        >>> numbers([-0.12, -0.15, -0.09])
        ['−0.120', '−0.150', '−0.090']
    """
    spread = max(values) - min(values)
    largest = max(abs(value) for value in values)
    if spread <= 1e-3 * largest or largest >= 1e9 or spread < 1e-6:
        return [number(value) for value in values]
    decimals = max(0, 1 - math.floor(math.log10(spread)))
    # Added to zero, because nothing less than nothing is written as such.
    rounded = [round(value, decimals) + 0.0 for value in values]
    return [f"{value:,.{decimals}f}".replace("-", "−") for value in rounded]


def interval(found: Estimate, share: bool = False) -> str:
    """Write an estimate as its mean and interval.

    Args:
        found: The estimate.
        share: Whether it is a share, to be written in per cent.

    Example:
        >>> interval(Estimate(-0.5, -0.6, -0.4, 3, 0))
        '−0.50 (−0.60 to −0.40)'
        >>> interval(Estimate(0.973, 0.97, 0.976, 3, 0), share=True)
        '97.3 % (97.0 to 97.6)'
    """
    if found.seeds == 0:
        return "not finite" if found.left_out else "–"
    ends = (found.mean, found.low, found.high)
    if share:
        mean, low, high = (f"{100 * end:.1f}".replace("-", "−") for end in ends)
        mean += " %"
    else:
        mean, low, high = numbers(ends)
    if found.seeds == 1:
        return mean
    return f"{mean} (no spread)" if low == high else f"{mean} ({low} to {high})"
