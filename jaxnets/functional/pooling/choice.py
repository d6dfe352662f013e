"""The choice between the implementations of a pool."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.choices import Candidate, Chosen, choose, run_chosen
from jaxnets.functional.pooling.dtypes import narrowed
from jaxnets.functional.pooling.implementations.maxima import (
    maxima_by_reduce_window,
    maxima_by_shifts,
    maxima_by_winners,
)
from jaxnets.functional.pooling.implementations.native import (
    native_averages,
    native_maxima,
    native_sums,
    native_sums_apart,
    quotients,
)
from jaxnets.functional.pooling.implementations.sums import (
    logsumexps_by_shifts,
    sums_by_reduce_window,
    sums_by_reshape,
    sums_by_shifts,
)
from jaxnets.functional.pooling.options import PoolWindows
from jaxnets.functional.shared.dtypes import accumulation_dtype, sum_dtype
from jaxnets.functional.shared.sizes import Size, definitely, is_known
from jaxnets.functional.shared.windows import (
    check_padding_mode,
    flatten_batch,
    restore_batch,
)
from jaxnets.typing import ArrayLike


MAX_IMPLEMENTATIONS = {
    "shifts": maxima_by_shifts,
    "reduce_window": maxima_by_reduce_window,
    "winners": maxima_by_winners,
    "native": native_maxima,
}
SUM_IMPLEMENTATIONS = {
    "shifts": sums_by_shifts,
    "reshape": sums_by_reshape,
    "reduce_window": sums_by_reduce_window,
    "native": native_sums,
}

# The largest windows, in elements, whose sums "shifts" computes: if windows do not
# overlap, and if they do.
_MOST_SHIFTS_APART = 64
_MOST_SHIFTS_OVERLAPPING = 9
# The largest windows, in elements, whose sums "native" computes. For larger ones it
# needs many more additions than the others.
_MOST_AT_ONCE = 64
# The largest windows, in elements, that "reshape" computes in its place on TPUs.
_MOST_RESHAPED_ON_TPUS = 16
# With at least as many channels as a TPU's tile has elements along its last axis, XLA
# reduces by windows without copies.
_LANES_OF_A_TPU = 128
# With a last spatial axis of a multiple of this many elements, a TPU has it before the
# channels in memory.
_ROWS_OF_A_TILE = 8
# Maxima over more elements are computed by "reduce_window" if windows do not overlap
# and if there are at least this many channels, which are compared in vectors.
_MOST_SHIFTS_OF_A_VALUE = 16
_CHANNELS_OF_A_VECTOR = 16


def choose_max(
    implementation: str | None,
    windows: PoolWindows,
    channels: Size,
    *,
    function: str = "max_pool",
) -> Chosen:
    """Return the implementation of `max_pool` and similar pools for each platform.

    - "native", on TPUs only: XLA's reduction over windows and its `select_and_scatter`;
      not for dilated windows or axes of symbolic size.
    - "winners", on accelerators: everything else. A GPU reads the elements that several
      windows share from its caches, so larger windows are compared at once than on a
      CPU.
    - "reduce_window", on CPUs only: the value of large windows that do not overlap, if
      there are enough channels. When differentiated it runs "shifts".
    - "shifts", on CPUs: everything else.

    Every derivative adds in the same order every time. The `max_pool` rows of
    `jaxnets bench ops` compare it with `reduce_window` and its derivative, which Flax
    uses.

    Raises:
        ValueError: If the name is unknown, or is "native" and cannot run.
    """
    elements = math.prod(windows.window)
    large_and_apart = not windows.overlap and elements > _MOST_SHIFTS_OF_A_VALUE
    many_channels = definitely(lambda: channels >= _CHANNELS_OF_A_VECTOR)

    def candidates(platform: str) -> list[Candidate]:
        cpu = platform == "cpu"
        against_native = _against_native_maxima(platform, windows)
        against_shifts = against_reduce_window = None if cpu else "tuned for CPUs"
        if cpu and (not large_and_apart or not many_channels):
            against_reduce_window = (
                f"only for windows of more than {_MOST_SHIFTS_OF_A_VALUE} elements "
                f"that do not overlap, and for {_CHANNELS_OF_A_VECTOR} channels or more"
            )
        elif cpu:
            against_shifts = "'reduce_window' is preferred; 'shifts' is its derivative"
        return [
            Candidate("native", against_native, possible=not against_native),
            Candidate("shifts", against_shifts),
            Candidate("reduce_window", against_reduce_window),
            Candidate("winners", "tuned for GPUs" if cpu else None),
        ]

    return choose(function, implementation, candidates)


def _against_native_maxima(platform: str, windows: PoolWindows) -> str | None:
    """Return why "native" cannot compute maxima, or None."""
    if platform != "tpu":
        return (
            "XLA's derivative adds in a fixed order, to the first maximum, on TPUs only"
        )
    if set(windows.dilation) != {1}:
        return "XLA has no derivative for dilated windows"
    return None if is_known(*windows.sizes) else "a spatial axis has a symbolic size"


def choose_sum(
    implementation: str | None,
    windows: PoolWindows,
    channels: Size,
    dtype: np.dtype,
    *,
    function: str = "sum_pool",
) -> Chosen:
    """Return the implementation of `sum_pool` and similar pools for each platform.

    In order of preference:

    - "shifts", on CPUs only: windows of up to 9 elements, or of up to 64 if no two
      windows overlap;
    - "native", on accelerators only: windows of up to 64 elements, by one
      `reduce_window`. Not on TPUs for windows of up to 16 elements that do not overlap,
      in 32 or 64 bits, with fewer than 128 channels but at least as many as elements on
      the last spatial axis, which fills its tiles: there a program with "reshape" moves
      fewer bytes, because XLA first copies what it reduces by windows. On TPUs the
      spatial axes come first where windows overlap and there are at least as many
      channels as elements on the last spatial axis;
    - "reshape": all other windows that do not overlap;
    - "reduce_window", axis by axis: everything else.

    The `avg_pool` rows of `jaxnets bench ops` compare it with `reduce_window` and its
    derivative, which Flax uses.

    Raises:
        ValueError: If the name is unknown, or is "reshape" and windows overlap.
    """
    most = _MOST_SHIFTS_OVERLAPPING if windows.overlap else _MOST_SHIFTS_APART
    elements = math.prod(windows.window)
    overlap = "windows overlap" if windows.overlap else None
    small_and_apart = not windows.overlap and elements <= _MOST_RESHAPED_ON_TPUS
    width = windows.sizes[-1]
    some_channels = definitely(lambda: width <= channels < _LANES_OF_A_TPU)
    in_tiles = definitely(lambda: width % _ROWS_OF_A_TILE == 0)
    reshaped = small_and_apart and some_channels and in_tiles

    def candidates(platform: str) -> list[Candidate]:
        against_shifts = against_native = None
        if elements > most:
            against_shifts = f"windows of {elements} elements, more than {most}"
        elif platform != "cpu":
            against_shifts = "tuned for CPUs"
        if platform == "cpu":
            against_native = "tuned for accelerators"
        elif elements > _MOST_AT_ONCE:
            against_native = (
                f"windows of {elements} elements, more than {_MOST_AT_ONCE}"
            )
        elif platform == "tpu" and reshaped and dtype.itemsize > 2:
            against_native = "moves more bytes than 'reshape' on TPUs"
        return [
            Candidate("shifts", against_shifts),
            Candidate("native", against_native),
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

    The cotangents of an element that is in several windows are added in
    `accumulation_dtype`. `function` is the name that `jaxnets.plan` shows.
    """
    check_padding_mode(mode)
    chosen = choose_max(implementation, windows, x.shape[-1], function=function)
    flat, batch = flatten_batch(x, windows.ndim, "x")

    def run(name: str) -> jax.Array:
        return narrowed(MAX_IMPLEMENTATIONS[name](flat, windows, mode), x.dtype)

    return restore_batch(run_chosen(chosen, run), batch)


def pool_sums(
    x: Shaped[Array, "..."],
    windows: PoolWindows,
    mode: str,
    implementation: str | None,
    function: str,
    *,
    divisors: ArrayLike | float | None = None,
) -> Shaped[Array, "..."]:
    """Return the sums over windows of `x (*batch, *spatial, channels)`.

    They have the dtype in which they are summed. With `divisors`, a float or an array
    with the axes of `x`, the quotients are returned, in the dtype of `x`. `function` is
    the name that `jaxnets.plan` shows.
    """
    check_padding_mode(mode)
    chosen = choose_sum(
        implementation, windows, x.shape[-1], x.dtype, function=function
    )
    flat, batch = flatten_batch(x, windows.ndim, "x")
    wide = flat.astype(accumulation_dtype(sum_dtype(x.dtype)))
    # Padding with elements of `x` would add up cotangents.
    apart = not windows.overlap and mode == "zeros"
    narrow = jnp.issubdtype(x.dtype, jnp.floating) and wide.dtype != x.dtype

    def sums(name: str) -> jax.Array:
        if name == "native" and apart and narrow:
            return native_sums_apart(flat, windows)
        return SUM_IMPLEMENTATIONS[name](wide, windows, mode)

    def run(name: str) -> jax.Array:
        if name != "native" or not isinstance(divisors, float):
            y = restore_batch(sums(name), batch)
            return y if divisors is None else (y / divisors).astype(x.dtype)
        if narrow and not apart:
            y = native_averages(flat, windows, mode, divisors)
        else:
            y = quotients(sums(name), divisors, x.dtype)
        return restore_batch(y, batch)

    return run_chosen(chosen, run)


def pool_logsumexps(
    x: Shaped[Array, "..."],
    windows: PoolWindows,
    mode: str,
    implementation: str | None,
    function: str,
) -> Shaped[Array, "..."]:
    """Return the log-sum-exps over windows of `x (*batch, *spatial, channels)`.

    They have the dtype of `x`. `function` is the name that `jaxnets.plan` shows.
    """
    check_padding_mode(mode)
    choose(function, implementation, lambda _: [Candidate("shifts")])
    flat, batch = flatten_batch(x, windows.ndim, "x")
    wide = flat.astype(accumulation_dtype(x.dtype))
    sums = logsumexps_by_shifts(wide, windows, mode)
    return restore_batch(narrowed(sums, x.dtype), batch)
