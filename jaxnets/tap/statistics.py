"""What a tap keeps of an array: four numbers on the way back, six forward."""

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


def summarise(cotangent: jax.Array) -> TapStats:
    """Reduce a cotangent of any shape to its `TapStats`."""
    values = _wide(jnp.abs(cotangent))
    return TapStats(
        norm=_norm(values),
        max_abs=jnp.max(values, initial=0.0),
        zero_fraction=jnp.mean(values == 0, dtype=jnp.float32),
        nonfinite_fraction=jnp.mean(~jnp.isfinite(values), dtype=jnp.float32),
    )


def _norm(values: jax.Array) -> jax.Array:
    """Return the Euclidean norm, in one pass for all but extreme values."""
    # Squares leave the range long before the values do; three sums, in float32 at
    # scales 2^64 apart, cover it. In a time loop every further pass would cost as much
    # as a gate does, so they run only where they are needed.
    total = jnp.sum(values**2)

    def rescaled(values: jax.Array, total: jax.Array) -> jax.Array:
        # The scales are the root of the largest power of two and its inverse.
        scale = 2.0 ** (jnp.finfo(values.dtype).maxexp // 2)
        small, large = (
            jnp.sqrt(jnp.sum((values * s) ** 2)) / s for s in (scale, 1 / scale)
        )
        return jnp.where(total < 1.0, small, large)

    safe = (total > 1e-30) & (total < 1e30)
    return jax.lax.cond(safe, lambda _, t: jnp.sqrt(t), rescaled, values, total)


def summarise_response(x: jax.Array) -> ResponseStats:
    """Reduce an activation of any shape to its `ResponseStats`."""
    values = _wide(jnp.abs(x) if jnp.iscomplexobj(x) else x)
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


def _wide(values: jax.Array) -> jax.Array:
    """Return real values in float32, or as they are in float64."""
    return values if values.dtype == jnp.float64 else values.astype(jnp.float32)
