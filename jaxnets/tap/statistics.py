"""What a tap keeps of an array: four numbers on the way back, seven forward."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


# An activation beyond it passes on only a small part of a gradient:
# tanh' = 1 - tanh^2 < 0.06 of its largest value, sigmoid' < 0.12 of its largest value.
SATURATED = 0.97


class TapStats(NamedTuple):
    """What a cotangent was, in four numbers.

    Each is of shape `()`, or `(time,)` where the tap stands in a time loop, or
    `(layers,)` where it stands in a scanned stack.

    Attributes:
        norm: Euclidean norm, right over the whole range of its dtype: float32, or
            float64 for a cotangent of it.
        max_abs: Largest absolute value.
        zero_fraction: Share of exact zeros.
        nonfinite_fraction: Share of NaN and infinities.
    """

    norm: Float[Array, " *steps"]
    max_abs: Float[Array, " *steps"]
    zero_fraction: Float[Array, " *steps"]
    nonfinite_fraction: Float[Array, " *steps"]


class ResponseStats(NamedTuple):
    """What a tapped array was on the way forward; shapes as in `TapStats`.

    Attributes:
        mean: Mean of the values.
        std: Standard deviation of the values, right over the whole range too.
        max_abs: Largest absolute value.
        zero_fraction: Share of exact zeros (for ReLU: the inactive share).
        saturated_fraction: Share of values whose magnitude is above 0.97. It is a
            saturated share only where the tap stands behind tanh, or, for the upper
            end, behind a sigmoid: a tap does not know its activation.
        shut_fraction: Share of values from 0 to below 0.03: the lower end of a sigmoid.
        nonfinite_fraction: Share of NaN and infinities.
    """

    mean: Float[Array, " *steps"]
    std: Float[Array, " *steps"]
    max_abs: Float[Array, " *steps"]
    zero_fraction: Float[Array, " *steps"]
    saturated_fraction: Float[Array, " *steps"]
    shut_fraction: Float[Array, " *steps"]
    nonfinite_fraction: Float[Array, " *steps"]


def summarise(*cotangents: jax.Array) -> list[TapStats]:
    """Reduce cotangents of any shape to their `TapStats`, one each."""
    if not cotangents:
        return []
    arrays = list(map(_real, cotangents))
    return [
        TapStats(
            norm=norm,
            max_abs=jnp.max(jnp.abs(values), initial=0.0),
            zero_fraction=jnp.mean(values == 0, dtype=jnp.float32),
            nonfinite_fraction=jnp.mean(~jnp.isfinite(values), dtype=jnp.float32),
        )
        for values, norm in zip(arrays, _norms(arrays), strict=True)
    ]


def _norms(arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """Return the Euclidean norms, in one pass for all but extreme values."""
    # Squares leave the range long before the values do. In a time loop a second pass
    # costs as much as a gate does, so it runs only where it is needed; and to ask
    # whether it is costs more than a sum, so that is done once for all.
    totals = [jnp.sum(values**2) for values in arrays]

    def usual(arrays: Sequence[jax.Array], totals: Sequence[jax.Array]):
        del arrays
        return [jnp.sqrt(total) for total in totals]

    def rescaled(arrays: Sequence[jax.Array], totals: Sequence[jax.Array]):
        return list(map(_rescaled_norm, arrays, totals))

    safe = jnp.all(jnp.stack(list(map(_within_range, totals))))
    return jax.lax.cond(safe, usual, rescaled, arrays, totals)


def _rescaled_norm(values: jax.Array, total: jax.Array) -> jax.Array:
    """Return the norm of values whose squares, in `total`, may have left the range."""
    # The root of the largest power of two; in float32 three scales 2^64 apart cover
    # the range.
    large = 2.0 ** (jnp.finfo(values.dtype).maxexp // 2)
    outside = jnp.where(total < 1.0, large, 1 / large)
    scale = jnp.where(_within_range(total), 1.0, outside)
    return jnp.sqrt(jnp.sum((values * scale) ** 2)) / scale


def _within_range(total: jax.Array) -> jax.Array:
    """Return whether a sum of squares lost none of them to the range of its dtype."""
    return (total > 1e-30) & (total < 1e30)


def summarise_response(x: jax.Array) -> ResponseStats:
    """Reduce an activation of any shape to its `ResponseStats`."""
    values = _real(x)
    magnitudes = jnp.abs(values)
    mean, largest = jnp.mean(values), jnp.max(magnitudes, initial=0.0)
    # Divided first, because the squares leave the range long before the values do.
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
    )


def _real(values: jax.Array) -> jax.Array:
    """Return values, or magnitudes of complex ones, in float32 if not in float64."""
    values = jnp.abs(values) if jnp.iscomplexobj(values) else values
    return values if values.dtype == jnp.float64 else values.astype(jnp.float32)
