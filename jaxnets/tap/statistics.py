"""The statistics of a tap: four of the cotangent, eight of the array itself."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.tap.trace import unmeasured


# The magnitude above which an activation counts as saturated. There the derivative of
# tanh is below 0.06 of its largest value, that of a sigmoid below 0.12.
SATURATED = 0.97


class TapStats(NamedTuple):
    """Statistics of the cotangent at a tap.

    Each has the shape `()`, or `(time,)` if the tap is in a time loop, or `(layers,)`
    if it is in a scanned stack. The dtype is float32, or float64 if the cotangent's is;
    that of the fractions is always float32.

    Attributes:
        norm: Euclidean norm, accurate over the whole range of the dtype.
        max_abs: Largest absolute value.
        zero_fraction: Fraction of exact zeros.
        nonfinite_fraction: Fraction of NaN and infinities.
    """

    norm: Float[Array, " *steps"]
    max_abs: Float[Array, " *steps"]
    zero_fraction: Float[Array, " *steps"]
    nonfinite_fraction: Float[Array, " *steps"]


class ResponseStats(NamedTuple):
    """Statistics of a tapped array; shapes and dtypes as in `TapStats`.

    Attributes:
        mean: Mean of the values.
        std: Standard deviation of the values, accurate over the whole range too.
        max_abs: Largest absolute value.
        zero_fraction: Fraction of exact zeros; for ReLU the inactive units.
        saturated_fraction: Fraction of values with a magnitude above 0.97. A tap does
            not know which activation precedes it. After a tanh these are the saturated
            values; after a sigmoid only those at its upper end.
        shut_fraction: Fraction of values of at least 0 and below 0.03, the lower end of
            a sigmoid.
        nonfinite_fraction: Fraction of NaN and infinities.
        dead_fraction: Fraction of units, which are the last axis, that are exactly zero
            at every position of the other axes. In a time loop it is the fraction of
            each step, over the examples of the batch.
    """

    mean: Float[Array, " *steps"]
    std: Float[Array, " *steps"]
    max_abs: Float[Array, " *steps"]
    zero_fraction: Float[Array, " *steps"]
    saturated_fraction: Float[Array, " *steps"]
    shut_fraction: Float[Array, " *steps"]
    nonfinite_fraction: Float[Array, " *steps"]
    dead_fraction: Float[Array, " *steps"]


def summarise_cotangents(
    cotangents: Sequence[jax.Array], batch_axes: int = 0
) -> list[TapStats]:
    """Return the `TapStats` of each cotangent, for each element of the batch axes."""
    with unmeasured():
        return _of_cotangents(list(cotangents), batch_axes) if cotangents else []


def summarise_response(x: jax.Array, batch_axes: int = 0) -> ResponseStats:
    """Return the `ResponseStats` of `x`, for each element of its first axes."""
    with unmeasured():
        return _of_response(x, batch_axes)


# One program each for taps that are not in a program, which all taps of one shape
# share because they leave the context of the measurement.
@functools.partial(jax.jit, static_argnums=1, inline=True)
def _of_cotangents(cotangents: list[jax.Array], batch_axes: int) -> list[TapStats]:
    if batch_axes:
        return jax.vmap(lambda each: _of_cotangents(each, batch_axes - 1))(cotangents)
    arrays = list(map(as_real, cotangents))
    return [
        TapStats(
            norm=norm,
            max_abs=jnp.max(jnp.abs(values), initial=0.0),
            zero_fraction=jnp.mean(values == 0, dtype=jnp.float32),
            nonfinite_fraction=jnp.mean(~jnp.isfinite(values), dtype=jnp.float32),
        )
        for values, norm in zip(arrays, norms_of(arrays), strict=True)
    ]


def norms_of(arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """Return the Euclidean norms; values are rescaled only if a square is extreme.

    Args:
        arrays: Real arrays, of float32 or wider.
    """
    # The squares overflow or underflow long before the values do. A second pass over
    # the values runs only if a sum is extreme, decided once for all arrays.
    totals = [jnp.sum(values**2) for values in arrays]

    def usual(arrays: Sequence[jax.Array], totals: Sequence[jax.Array]):
        del arrays
        return [jnp.sqrt(total) for total in totals]

    def rescaled(arrays: Sequence[jax.Array], totals: Sequence[jax.Array]):
        return list(map(_rescaled_norm, arrays, totals))

    safe = jnp.all(jnp.stack(list(map(_within_range, totals))))
    return jax.lax.cond(safe, usual, rescaled, arrays, totals)


def _rescaled_norm(values: jax.Array, total: jax.Array) -> jax.Array:
    """Return the norm of values whose sum of squares, `total`, may be out of range."""
    # In float32 the three scales 1, 2^63 and 2^-64 cover the whole range. XLA of JAX
    # 0.11 squares a scale by itself if the values are constants, such as the zeros of a
    # parameter that the loss does not use: the square of 2^64 is infinite.
    half = jnp.finfo(values.dtype).maxexp // 2
    outside = jnp.where(total < 1.0, 2.0 ** (half - 1), 2.0**-half)
    scale = jnp.where(_within_range(total), 1.0, outside)
    return jnp.sqrt(jnp.sum((values * scale) ** 2)) / scale


def _within_range(total: jax.Array) -> jax.Array:
    """Return whether no square in the sum overflowed or was lost to underflow."""
    return (total > 1e-30) & (total < 1e30)


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _of_response(x: jax.Array, batch_axes: int) -> ResponseStats:
    if batch_axes:
        return jax.vmap(lambda each: _of_response(each, batch_axes - 1))(x)
    values = as_real(x)
    magnitudes = jnp.abs(values)
    mean, largest = jnp.mean(values), jnp.max(magnitudes, initial=0.0)
    # Divided first: the squares overflow or underflow long before the values do.
    deviations = (values - mean) / jnp.where(largest == 0, 1, largest)
    return ResponseStats(
        mean=mean,
        std=jnp.sqrt(jnp.mean(deviations**2)) * largest,
        max_abs=largest,
        zero_fraction=jnp.mean(values == 0, dtype=jnp.float32),
        saturated_fraction=jnp.mean(magnitudes > SATURATED, dtype=jnp.float32),
        shut_fraction=jnp.mean(
            (values >= 0) & (values < 1 - SATURATED), dtype=jnp.float32
        ),
        nonfinite_fraction=jnp.mean(~jnp.isfinite(values), dtype=jnp.float32),
        dead_fraction=jnp.mean(
            jnp.all(values == 0, axis=tuple(range(values.ndim - 1))), dtype=jnp.float32
        ),
    )


def as_real(values: jax.Array) -> jax.Array:
    """Return the values in float32 or float64; of complex values the magnitudes."""
    values = jnp.abs(values) if jnp.iscomplexobj(values) else values
    return values if values.dtype == jnp.float64 else values.astype(jnp.float32)
