"""The scan options that all recurrences share, and their parsed form."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import as_count, as_switch
from jaxnets.functional.recurrence.arguments import as_bound
from jaxnets.functional.shared.sharding import shard_like


class ScanOptions(NamedTuple):
    """The parsed scan options of a recurrence.

    Attributes:
        valid: True at real steps and false at padding, `(time, *batch)`; None if there
            is no padding.
        resets: True where the state is reset, `(time, *batch)`; None if it never is.
        cuts: True where no cotangent passes to the step before, `(time,)` or
            `(time, *batch)`; None if it always passes.
        reverse: Whether the last step is computed first.
        unroll: Number of steps in one iteration of the compiled loop.
        segment: Number of steps of a segment that is recomputed; None stores the
            residuals of all steps.
        time_axis: Time axis of the user's inputs and outputs.
        project_first: Whether `x @ w_xh` of all steps is one product before the loop.
            One large product suits an accelerator. On a CPU the results of small
            products stay in the cache, while that of a large one is written to memory.
    """

    valid: jax.Array | None
    resets: jax.Array | None
    cuts: jax.Array | None
    reverse: bool
    unroll: int
    segment: int | None
    time_axis: int
    project_first: bool = False

    @property
    def masks(self) -> "Masks":
        """The options that are arrays with one element for each step."""
        return Masks(self.valid, self.resets, self.cuts)

    def without_arrays(self) -> "ScanOptions":
        """Return the options without the masks."""
        return self._replace(valid=None, resets=None, cuts=None)


class Masks(NamedTuple):
    """The masks of `ScanOptions`, of all steps or of one."""

    valid: jax.Array | None
    resets: jax.Array | None
    cuts: jax.Array | None


def parse_scan(
    x: Any,
    batch: tuple[Any, ...],
    *,
    lengths: Any = None,
    resets: Any = None,
    reverse: Any = False,
    time_major: Any = False,
    unroll: Any = 1,
    checkpoint: Any = None,
    truncate: Any = None,
) -> ScanOptions:
    """Check and parse scan options, for an input `x` with the batch axes `batch`."""
    reverse = as_switch(reverse, "reverse")
    time_major = as_switch(time_major, "time_major")
    axis = 0 if time_major else len(batch)
    time = jnp.shape(x)[axis]
    masks = (
        valid_steps(lengths, time, batch),
        _time_major_resets(resets, time, batch, time_major),
        _cuts(truncate, lengths, time, batch, reverse),
    )
    valid, resets, cuts = shard_like(masks, x, time_first(axis, len(batch)))
    meaning = "the steps of one iteration of the loop"
    unroll = as_count(unroll, "unroll", meaning=meaning)
    segment = segment_length(checkpoint, time)
    if segment is None:  # the steps of a segment are no symbol
        _check_divides("unroll", unroll, time, "iteration", "1")
    return ScanOptions(valid, resets, cuts, reverse, unroll, segment, axis)


def time_first(axis: int, batch_ndim: int) -> list[int]:
    """Return the time axis and the batch axes of an array with time on `axis`."""
    return [axis, *(i for i in range(batch_ndim + 1) if i != axis)]


def valid_steps(lengths, time, batch) -> jax.Array | None:
    """Return the mask of real steps; the values of `lengths` may be traced."""
    if lengths is None:
        return None
    dtype, shape = _dtype(lengths), np.shape(lengths)
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(
            f"`lengths` has dtype {dtype}; wanted integers, the number of real steps "
            "of each sequence. Convert a mask with `mask.sum(axis)`."
        )
    if shape != batch:
        raise ValueError(
            f"`lengths` has shape {shape}; wanted {batch}, one length for each "
            "sequence: the shape of the batch axes, without time and features."
        )
    steps = jnp.arange(time).reshape(time, *(1,) * len(batch))
    return steps < jnp.asarray(lengths).astype(steps.dtype)[None]


def _time_major_resets(resets, time, batch, time_major) -> jax.Array | None:
    if resets is None:
        return None
    dtype, shape = _dtype(resets), np.shape(resets)
    if dtype != jnp.bool_:
        raise TypeError(
            f"`resets` has dtype {dtype}; wanted booleans, true where a new episode "
            "begins. Convert with `resets.astype(bool)`."
        )
    wanted = (time, *batch) if time_major else (*batch, time)
    if shape != wanted:
        order = "(time, *batch)" if time_major else "(*batch, time)"
        raise ValueError(
            f"`resets` has shape {shape}; wanted {wanted}: one boolean for each step "
            f"of each sequence, {order} because time_major={time_major}."
        )
    resets = jnp.asarray(resets)
    return resets if time_major else jnp.moveaxis(resets, -1, 0)


def _cuts(truncate, lengths, time, batch, reverse) -> jax.Array | None:
    """Return the mask of the steps that begin a window of `truncate` steps.

    The first window is not in the mask. Windows are counted in the order of
    computation: with `reverse`, from the last real step of each sequence.
    """
    if truncate is None:
        return None
    meaning = "the steps that a cotangent passes through at most, or None"
    window = as_count(truncate, "truncate", meaning=meaning)
    steps = jnp.arange(time)
    if reverse and lengths is not None:
        ends = jnp.asarray(lengths).astype(steps.dtype)[None]
        steps = ends - 1 - steps.reshape(time, *(1,) * len(batch))
    elif reverse:
        steps = time - 1 - steps
    return (steps > 0) & (steps % window == 0)


def as_clip_cotangent(bound: Any) -> float | None:
    """Return `clip_cotangent`, which must be None or a positive number."""
    return as_bound("clip_cotangent", bound, "`dL/dh_t`")


def segment_length(checkpoint: Any, time: Any, unit: str = "steps") -> int | None:
    """Parse `checkpoint`: None, "sqrt" or a number of steps, of `time` in all.

    Raises:
        TypeError: If it is of another type.
        ValueError: If it is another string or below 1, or if the segments of a symbolic
            number of steps would not be equal.
    """
    if checkpoint is None:
        return None
    if isinstance(checkpoint, str):
        if checkpoint != "sqrt":
            raise ValueError(
                f"`checkpoint` is {checkpoint!r}; wanted None (no recomputation), "
                f'"sqrt", or the number of {unit} of a segment.'
            )
        if not isinstance(time, int):
            raise ValueError(
                f'`checkpoint` is "sqrt", but the number of steps is the symbol '
                f"{time}, which has no square root; wanted the number of steps of a "
                "segment, as an int."
            )
        return max(1, math.isqrt(time))
    meaning = f'the {unit} of a segment, or None or "sqrt"'
    segment = as_count(checkpoint, "checkpoint", meaning=meaning)
    _check_divides("checkpoint", segment, time, "segment", "None")
    return segment


def _check_divides(name: str, steps: int, time: Any, part: str, instead: str) -> None:
    """Raise ValueError if `time` is a symbol that may be no multiple of `steps`."""
    if not isinstance(time, int) and time % steps != 0:
        raise ValueError(
            f"`{name}` is {steps}, but the number of steps is the symbol {time}; "
            f"wanted a multiple of {steps}, so that no shorter {part} is left. "
            f"Export with jax.export.symbolic_shape('{steps}*n') for the time axis, "
            f"or pass {name}={instead}."
        )


def _dtype(array: Any) -> np.dtype:
    return array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
