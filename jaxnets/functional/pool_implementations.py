"""Which implementation a pool runs: chosen here, or forced by name."""

from jaxnets.choices import Candidate, choose
from jaxnets.functional.pool_windows import PoolWindows
from jaxnets.functional.window_maxima import maxima_by_reduce_window, maxima_by_taps
from jaxnets.functional.window_sums import sums_by_reduce_window, sums_by_reshape


MAX_IMPLEMENTATIONS = {
    "taps": maxima_by_taps,
    "reduce_window": maxima_by_reduce_window,
}
SUM_IMPLEMENTATIONS = {
    "reshape": sums_by_reshape,
    "reduce_window": sums_by_reduce_window,
}


def choose_max(implementation: str | None, *, function: str = "max_pool") -> str:
    """Return the implementation of `max_pool` that runs.

    "taps" everywhere: with its derivative it took a tenth of the time of XLA's
    `reduce_window` on CPUs, and its derivative is the same in every run.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> choose_max(None)
        'taps'
    """
    slower = "its value alone may be faster, its derivative is that of 'taps'"
    candidates = [Candidate("taps"), Candidate("reduce_window", slower)]
    return choose(function, implementation, candidates)


def choose_sum(
    implementation: str | None, windows: PoolWindows, *, function: str = "sum_pool"
) -> str:
    """Return the implementation of `sum_pool` and its relatives that runs.

    "reshape" where no two windows overlap, as it needs; else "reduce_window".

    Raises:
        ValueError: If the name is unknown, or "reshape" and windows overlap.
    """
    overlap = "windows overlap" if windows.overlap else None
    candidates = [
        Candidate("reshape", overlap, possible=not windows.overlap),
        Candidate("reduce_window"),
    ]
    return choose(function, implementation, candidates)
