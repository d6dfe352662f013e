"""Linear recurrences `h_t = decay_t * h_{t-1} + value_t` by an associative scan.

Two consecutive steps are one step of the same form, with the decay `d_1 * d_2` and the
value `d_2 * v_1 + v_2`. So all T states are computed in O(log T) levels of elementwise
operations, rather than in T steps.

Source: Blelloch 1990, "Prefix Sums and Their Applications", section 1.4; with
logarithms, Heinsen 2023, "Efficient Parallelization of a Ubiquitous Sequential
Computation". Heinsen subtracts the sum of all earlier logarithms, which loses the
precision of float32 over long sequences; here logarithms are added pair by pair.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.functional.recurrence.time.options import Masks
from jaxnets.functional.recurrence.time.segments import broadcastable, zero_unless


# Stands for the logarithm of zero. With minus infinity, derivatives would be NaN. Sums
# of this number stay finite in float32 for 10^8 steps.
_LOG_ZERO = -1e30


def solve(
    decay: Float[Array, "time *features"],
    value: Float[Array, "time *features"],
    initial: Float[Array, "*features"],
    state: Float[Array, "*features"],
    masks: Masks,
    *,
    reverse: bool,
) -> Float[Array, "time *features"]:
    """Return all states of a linear recurrence.

    Args:
        decay: The factor of the state before the step, between 0 and 1.
        value: The term that is added.
        initial: The state after a reset.
        state: The state before the first step.
        masks: Padding and resets.
        reverse: Whether the last step is computed first.
    """
    decay, value = _with_masks(decay, value, initial, masks)
    decays, values = jax.lax.associative_scan(_combine, (decay, value), reverse=reverse)
    return decays * _every_step(state, decays) + values


def solve_in_logs(
    log_decay: Float[Array, "time *features"],
    log_value: Float[Array, "time *features"],
    initial: Float[Array, "*features"],
    state: Float[Array, "*features"],
    masks: Masks,
    *,
    reverse: bool,
) -> Float[Array, "time *features"]:
    """Return the same from the logarithms of positive decays and values.

    Logarithms represent gates near 0 and 1 accurately. `initial` and `state` may have
    any sign: their contributions to `h_t` are computed separately.
    """
    from_initial = jnp.zeros_like(log_value)
    if masks.resets is not None:
        # The factor of `initial` in each state: decay_t at a reset, then decaying.
        decay = jnp.exp(log_decay)
        decay, weight = _with_masks(decay, 0 * decay, jnp.ones_like(initial), masks)
        pair = jax.lax.associative_scan(_combine, (decay, weight), reverse=reverse)
        from_initial = pair[1] * _every_step(initial, decay)
        resets = broadcastable(masks.resets, log_decay)
        log_decay = jnp.where(resets, _LOG_ZERO, log_decay)
    if masks.valid is not None:
        valid = broadcastable(masks.valid, log_decay)
        log_decay = jnp.where(valid, log_decay, 0.0)
        log_value = jnp.where(valid, log_value, _LOG_ZERO)
    log_decays, log_values = jax.lax.associative_scan(
        _combine_logs, (log_decay, log_value), reverse=reverse
    )
    from_state = jnp.exp(log_decays) * _every_step(state, log_decays)
    return from_state + from_initial + jnp.exp(log_values)


def _with_masks(
    decay: Array, value: Array, initial: Array, masks: Masks
) -> tuple[Array, Array]:
    """Return coefficients that reset the state, and do not change it at padding."""
    if masks.resets is not None:
        resets = broadcastable(masks.resets, decay)
        restarted = decay * _every_step(initial, decay) + value
        value = jnp.where(resets, restarted, value)
        decay = jnp.where(resets, 0.0, decay)
    if masks.valid is not None:
        decay = jnp.where(broadcastable(masks.valid, decay), decay, 1.0)
        value = zero_unless(masks.valid, value)
    return decay, value


def _every_step(state: Array, steps: Array) -> Array:
    return jnp.broadcast_to(state, steps.shape)


def _combine(first: tuple[Array, Array], second: tuple[Array, Array]):
    """Return two steps as one."""
    return first[0] * second[0], second[0] * first[1] + second[1]


def _combine_logs(first: tuple[Array, Array], second: tuple[Array, Array]):
    """Return two steps as one, with all coefficients as logarithms."""
    return first[0] + second[0], jnp.logaddexp(second[0] + first[1], second[1])
