"""Which implementation a pool runs: chosen here, or forced by name."""

from typing import Any

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


def choose_max(implementation: str | None) -> str:
    """Return the implementation of `max_pool` that runs.

    "taps" everywhere: with its derivative it took a tenth of the time of XLA's
    `reduce_window` on CPUs, and its derivative is the same in every run.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> choose_max(None)
        'taps'
    """
    return _named(implementation, MAX_IMPLEMENTATIONS) or "taps"


def choose_sum(implementation: str | None, windows: PoolWindows) -> str:
    """Return the implementation of `sum_pool` and `avg_pool` that runs.

    "reshape" where no two windows overlap, as it needs; else "reduce_window".

    Raises:
        ValueError: If the name is unknown, or "reshape" and windows overlap.
    """
    name = _named(implementation, SUM_IMPLEMENTATIONS)
    if name == "reshape" and windows.overlap:
        raise ValueError(
            f"`implementation` is 'reshape' for windows {windows.window} with strides "
            f"{windows.strides} and dilation {windows.dilation}, which overlap; wanted "
            "None or 'reduce_window' for these, or strides no smaller than the window."
        )
    return name or ("reduce_window" if windows.overlap else "reshape")


def _named(implementation: str | None, choices: dict[str, Any]) -> str | None:
    """Return the name that is forced, if any, or raise if there is none such."""
    if implementation is not None and implementation not in choices:
        names = ", ".join(map(repr, choices))
        raise ValueError(
            f"`implementation` is {implementation!r}; wanted None or one of {names}."
        )
    return implementation
