"""The scan options of every recurrence, parsed once to one form: time first."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.functional.recurrence.arguments import check_bound
from jaxnets.functional.shared.arguments import as_count, as_switch


class ScanOptions(NamedTuple):
    """The scan options of a recurrence, parsed; the masks have time first.

    Attributes:
        valid: True at real steps, false at padding `(time, *batch)`; None: all real.
        resets: True where the state starts anew `(time, *batch)`; None: nowhere.
        cuts: True where no cotangent passes to the step before, `(time,)` or
            `(time, *batch)`; None: nowhere.
        reverse: Whether the last step is computed first.
        unroll: Steps in one iteration of the compiled loop.
        segment: Steps between two stored states; None stores the residuals of all.
        time_axis: Where the user's input and outputs have time.
    """

    valid: jax.Array | None
    resets: jax.Array | None
    cuts: jax.Array | None
    reverse: bool
    unroll: int
    segment: int | None
    time_axis: int

    @property
    def masks(self) -> "Masks":
        """The masks, which differ from step to step."""
        return Masks(self.valid, self.resets, self.cuts)


class Masks(NamedTuple):
    """The masks of a `ScanOptions`, of all steps or of one."""

    valid: jax.Array | None
    resets: jax.Array | None
    cuts: jax.Array | None


def parse_scan(
    time: int,
    batch: tuple[int, ...],
    *,
    lengths: Any = None,
    resets: Any = None,
    reverse: Any = False,
    time_major: Any = False,
    unroll: Any = 1,
    checkpoint: Any = None,
    truncate: Any = None,
) -> ScanOptions:
    """Check the user's scan options for `time` steps of a `batch` and parse them."""
    reverse = as_switch(reverse, "reverse")
    time_major = as_switch(time_major, "time_major")
    return ScanOptions(
        _valid_steps(lengths, time, batch),
        _time_major_resets(resets, time, batch, time_major),
        _cuts(truncate, lengths, time, batch, reverse),
        reverse,
        as_count(unroll, "unroll", meaning="the steps of one iteration of the loop"),
        _segment_length(checkpoint, time),
        0 if time_major else len(batch),
    )


def _valid_steps(lengths, time, batch) -> jax.Array | None:
    """Compare the step numbers with `lengths`, without looking at their values."""
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
    """Mark every step that begins a further window of `truncate` steps.

    The count starts at the first real step: with `reverse`, that is the last one of
    each sequence.
    """
    if truncate is None:
        return None
    meaning = "the steps that a cotangent passes through, or None"
    window = as_count(truncate, "truncate", meaning=meaning)
    steps = jnp.arange(time)
    if reverse and lengths is not None:
        ends = jnp.asarray(lengths).astype(steps.dtype)[None]
        steps = ends - 1 - steps.reshape(time, *(1,) * len(batch))
    elif reverse:
        steps = time - 1 - steps
    return (steps > 0) & (steps % window == 0)


def check_clip_cotangent(bound: Any) -> None:
    """Raise unless `clip_cotangent` is None or a positive bound."""
    check_bound("clip_cotangent", bound, "`dL/dh_t`")


def _segment_length(checkpoint, time) -> int | None:
    """Parse `checkpoint`: None, "sqrt" or a number of steps."""
    if checkpoint is None:
        return None
    if isinstance(checkpoint, str):
        if checkpoint != "sqrt":
            raise ValueError(
                f"`checkpoint` is {checkpoint!r}; wanted None (store everything), "
                '"sqrt", or the number of steps of a segment.'
            )
        return max(1, math.isqrt(time))
    meaning = 'the steps of a segment, or None or "sqrt"'
    return as_count(checkpoint, "checkpoint", meaning=meaning)


def _dtype(array: Any) -> np.dtype:
    return array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
