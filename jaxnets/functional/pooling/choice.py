"""Which implementation a pool runs: chosen here, or forced by name."""

import math

import jax
from jaxtyping import Array, Shaped

from jaxnets.choices import Candidate, choose
from jaxnets.functional.pooling.implementations.maxima import (
    maxima_by_reduce_window,
    maxima_by_taps,
)
from jaxnets.functional.pooling.implementations.sums import (
    logsumexps_by_taps,
    sums_by_reduce_window,
    sums_by_reshape,
    sums_by_taps,
)
from jaxnets.functional.pooling.options import PoolWindows
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.windows import fold_batch, unfold_batch


MAX_IMPLEMENTATIONS = {
    "taps": maxima_by_taps,
    "reduce_window": maxima_by_reduce_window,
}
SUM_IMPLEMENTATIONS = {
    "taps": sums_by_taps,
    "reshape": sums_by_reshape,
    "reduce_window": sums_by_reduce_window,
}

# Sums of more taps are slower than the other ways, above all the gradient of windows
# that overlap.
_MOST_TAPS_APART = 64
_MOST_TAPS_OVERLAPPING = 9
# Maxima of more taps that lie apart are faster by `reduce_window`, as long as no
# derivative is wanted, and where it has vectors of channels to compare.
_MOST_TAPS_OF_A_VALUE = 16
_CHANNELS_OF_A_VECTOR = 16


def choose_max(
    implementation: str | None,
    windows: PoolWindows,
    channels: int,
    *,
    function: str = "max_pool",
) -> str:
    """Return the implementation of `max_pool` and its relatives that runs.

    "taps" nearly everywhere: with its derivative it took a third to a fifteenth of the
    time of XLA's `reduce_window` on CPUs, and its derivative is the same in every run.

    Of large windows that lie apart, the value alone comes from "reduce_window" on CPUs
    (four fifths of the time for 8 by 8), unless there are few channels. Differentiated,
    it runs "taps".

    Raises:
        ValueError: If the name is unknown.
    """
    elements = math.prod(windows.window)
    lie_apart = not windows.overlap and elements > _MOST_TAPS_OF_A_VALUE
    against_taps = against_reduce_window = None
    if not lie_apart or channels < _CHANNELS_OF_A_VECTOR:
        against_reduce_window = "slower, and its derivative is that of 'taps'"
    elif jax.default_backend() != "cpu":
        against_reduce_window = "tuned for CPUs"
    else:
        against_taps = "slower, until a derivative is wanted, which runs it"
    candidates = [
        Candidate("taps", against_taps),
        Candidate("reduce_window", against_reduce_window),
    ]
    return choose(function, implementation, candidates)


def choose_sum(
    implementation: str | None, windows: PoolWindows, *, function: str = "sum_pool"
) -> str:
    """Return the implementation of `sum_pool` and its relatives that runs.

    In the order of preference, with what they take beside XLA's `reduce_window` and its
    derivative, value and gradient together, on CPUs:

    - "taps", on CPUs alone: windows of up to 9 elements (two fifths to a sixth of the
      time), or up to 64 where no two windows overlap (four fifths of it for 2 by 2, a
      twenty-seventh for 8 by 8);
    - "reshape": larger windows of which no two overlap;
    - "reduce_window", axis by axis: all others.

    Raises:
        ValueError: If the name is unknown, or "reshape" and windows overlap.
    """
    most = _MOST_TAPS_OVERLAPPING if windows.overlap else _MOST_TAPS_APART
    elements = math.prod(windows.window)
    against_taps = None
    if elements > most:
        against_taps = f"windows of {elements} elements, more than {most}"
    elif jax.default_backend() != "cpu":
        against_taps = "tuned for CPUs"
    overlap = "windows overlap" if windows.overlap else None
    candidates = [
        Candidate("taps", against_taps),
        Candidate("reshape", overlap, possible=not windows.overlap),
        Candidate("reduce_window"),
    ]
    return choose(function, implementation, candidates)


def pool_maxima(
    x: Shaped[Array, "..."],
    windows: PoolWindows,
    mode: str,
    implementation: str | None,
    function: str,
) -> Shaped[Array, "..."]:
    """Return the maxima over windows of `x (*batch, *spatial, channels)`, in its dtype.

    An element of several windows takes a sum of cotangents: in float32 for 16 bits.
    `function` is who asks, for `jaxnets.plan`.
    """
    name = choose_max(implementation, windows, x.shape[-1], function=function)
    folded, batch = fold_batch(x, windows.ndim, "x")
    wide = folded.astype(accumulation_dtype(x.dtype))
    maxima = MAX_IMPLEMENTATIONS[name](wide, windows, mode)
    return unfold_batch(maxima.astype(x.dtype), batch)


def pool_sums(
    x: Shaped[Array, "..."],
    windows: PoolWindows,
    mode: str,
    implementation: str | None,
    function: str,
) -> Shaped[Array, "..."]:
    """Return the sums over windows of `x (*batch, *spatial, channels)`.

    They are in the dtype of accumulation. `function` is who asks, for `jaxnets.plan`.
    """
    name = choose_sum(implementation, windows, function=function)
    folded, batch = fold_batch(x, windows.ndim, "x")
    wide = folded.astype(accumulation_dtype(x.dtype))
    return unfold_batch(SUM_IMPLEMENTATIONS[name](wide, windows, mode), batch)


def pool_logsumexps(
    x: Shaped[Array, "..."],
    windows: PoolWindows,
    mode: str,
    implementation: str | None,
    function: str,
) -> Shaped[Array, "..."]:
    """Return the log-sum-exps over windows of `x (*batch, *spatial, channels)`.

    They are in the dtype of `x`. `function` is who asks, for `jaxnets.plan`.
    """
    choose(function, implementation, [Candidate("taps")])
    folded, batch = fold_batch(x, windows.ndim, "x")
    wide = folded.astype(accumulation_dtype(x.dtype))
    sums = logsumexps_by_taps(wide, windows, mode)
    return unfold_batch(sums.astype(x.dtype), batch)
