"""How numbers, estimates and their intervals are written for a reader."""

import math
from collections.abc import Iterable, Sequence

from jaxnets.report.html.markup import typeset
from jaxnets.runs.estimates import Estimate


def describe_intervals(counts: Iterable[int], drawn_as: str = "Intervals") -> str:
    """Return a sentence that explains the intervals of a figure.

    Args:
        counts: Number of seeds of each estimate in the figure.
        drawn_as: What shows the intervals, `Bands` or `Bars`.

    Example:
        >>> describe_intervals([3, 3], "Bands")
        'Mean of 3 seeds; bands: its 95 % t interval.'
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
    few = " (none where there is one seed)" if least == 1 else ""
    return f"Mean of {seeds}; {drawn_as.lower()}: its 95 % t interval{few}."


def number(value: object, digits: int = 3) -> str:
    """Return a number with few digits and a true minus sign; None becomes a dash.

    Args:
        value: A number or None; anything else becomes its `str`.
        digits: Significant digits.

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
    """Return numbers with as many decimals as are needed to tell them apart.

    Args:
        values: Finite numbers, such as a mean and the ends of its interval.

    Example:
        >>> numbers([-0.12, -0.15, -0.09])
        ['−0.120', '−0.150', '−0.090']
    """
    spread = max(values) - min(values)
    largest = max(abs(value) for value in values)
    if spread <= 1e-3 * largest or largest >= 1e9 or spread < 1e-6:
        return [number(value) for value in values]
    decimals = max(0, 1 - math.floor(math.log10(spread)))
    # Adding zero turns -0.0 into 0.0, which has no minus sign.
    rounded = [round(value, decimals) + 0.0 for value in values]
    return [f"{value:,.{decimals}f}".replace("-", "−") for value in rounded]


def interval(found: Estimate | None, share: bool = False) -> str:
    """Return the mean and the interval of an estimate as text.

    Args:
        found: The estimate; None if no value was finite.
        share: Whether it is a share, which is written in percent.

    Example:
        >>> interval(Estimate(-0.5, -0.6, -0.4, 3))
        '−0.50 (−0.60 to −0.40)'
        >>> interval(Estimate(0.973, 0.97, 0.976, 3), share=True)
        '97.3 % (97.0 to 97.6)'
    """
    if found is None:
        return "not finite"
    ends = (found.mean, *found.interval)
    if share:
        mean, low, high = (f"{100 * end:.1f}".replace("-", "−") for end in ends)
        mean += " %"
    else:
        mean, low, high = numbers(ends)
    if found.seeds == 1:
        return mean
    return f"{mean} (no spread)" if low == high else f"{mean} ({low} to {high})"
