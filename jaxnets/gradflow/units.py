"""Statistics of single units: time scales of gates, saturated and dead activations."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.trees import as_floats
from jaxnets.tap import SATURATED
from jaxnets.typing import ArrayLike


KINDS = ("sigmoid", "tanh", "relu")


def gate_timescales(gate: Float[ArrayLike, "*steps hidden"]) -> Float[Array, " hidden"]:
    """Return the time scale of each unit's memory, from the values of its forget gate.

    A cell that is multiplied by the gate f in every step decays as `f^t`, that is
    `exp(-t / tau)` with

        tau = -1 / log(mean f),

    where the mean is over all axes but the last. It is the memory of the direct path
    only: the gradient also passes through the recurrent weights, which can shorten or
    lengthen it.

    Args:
        gate: `(..., H)`, values between 0 and 1 that multiply the old state: the LSTM's
            `f`, or the GRU's `z` (here `h' = (1 - z) * n + z * h`). The leading axes
            are any axes of batch and time.

    Returns:
        `(H,)` time scales in steps: 0 for a gate that is always closed, infinity for
        one that is always open. NaN if a value is NaN or the mean is not between 0 and
        1, as that of pre-activations may be.

    Raises:
        TypeError: If `gate` is not a floating-point array.
        ValueError: If `gate` has no axis or no value.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import gate_timescales
        >>> gate_timescales(jnp.array([[0.5, 0.99], [0.5, 0.99]]))
        Array([ 1.442..., 99.49...], dtype=float32)

    Source: Tallec and Ollivier 2018, "Can recurrent neural networks warp time?",
    section 2, where the characteristic forgetting time is `1 / (1 - f)`, the same for
    slow gates. Keras defines the GRU's `z` as here; Cho et al. 2014 swap `z` and
    `1 - z`.
    """
    values = as_floats(gate, "gate")
    if values.ndim == 0 or values.size == 0:
        raise ValueError(
            f"`gate` has the shape {values.shape}; wanted (..., hidden) with at least "
            "one value per unit. Pass the gate of a whole sequence."
        )
    mean = jnp.mean(values, axis=tuple(range(values.ndim - 1)))
    # Rounding may carry the mean of a gate that is always open slightly above 1.
    possible = (mean >= 0) & (mean <= 1 + 1e-3)
    # abs, because -1 / log(1) would be minus infinity.
    return jnp.where(possible, 1.0 / jnp.abs(jnp.log(mean)), jnp.nan)


def saturation(activations: Float[ArrayLike, "*shape"], kind: str) -> Float[Array, ""]:
    """Return the fraction of activations in the flat part of their function.

    - `"tanh"`: `|a| > 0.97`; the derivative is below 0.06 of its largest value.
    - `"sigmoid"`: `a < 0.03` or `a > 0.97`; below 0.12 of its largest value.
    - `"relu"`: `a == 0`; the derivative is 0, and the unit is inactive at this input.

    Args:
        activations: Outputs of the activation function, of any shape.
        kind: `"sigmoid"`, `"tanh"` or `"relu"`, in upper or lower case.

    Returns:
        A fraction between 0 and 1; NaN if an activation is NaN, because it is neither
        saturated nor not.

    Raises:
        TypeError: If `activations` is not a floating-point array, or `kind` not a
            string.
        ValueError: If `kind` is none of the three, or `activations` is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import saturation
        >>> saturation(jnp.tanh(jnp.array([-4.0, 0.0, 1.0, 3.0])), "tanh")
        Array(0.5, dtype=float32)

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep
    feedforward neural networks", section 3, for the effect; the thresholds are a
    convention. Delve uses the word for another measure, an intrinsic rank.
    """
    values = _some_floats(activations, "any shape")
    name = kind.lower() if isinstance(kind, str) else None
    if name == "tanh":
        saturated = jnp.abs(values) > SATURATED
    elif name == "sigmoid":
        saturated = (values < 1 - SATURATED) | (values > SATURATED)
    elif name == "relu":
        saturated = values == 0
    else:
        error = ValueError if isinstance(kind, str) else TypeError
        raise error(
            f"`kind` is {kind!r}; wanted one of {KINDS}. Choose the function that "
            "returned `activations`."
        )
    return jnp.mean(_or_nan(saturated, jnp.isnan(values)))


def dead_units(activations: Float[ArrayLike, "*batch units"]) -> Float[Array, ""]:
    """Return the fraction of units that are zero at every input: dead ReLUs.

    A unit that is zero at some inputs is only inactive there (see `saturation`). A unit
    that is zero at all inputs gets no gradient, so its own weights do not recover.

    Args:
        activations: `(..., units)`, outputs of ReLU. A unit is dead if it is zero over
            all leading axes, of batch, space or time.

    Returns:
        A fraction between 0 and 1; NaN if an activation is NaN.

    Raises:
        TypeError: If `activations` is not a floating-point array.
        ValueError: If `activations` has no axis or is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import dead_units
        >>> dead_units(jnp.array([[0.0, 0.0], [0.0, 2.0]]))
        Array(0.5, dtype=float32)
    """
    values = _some_floats(activations, "(..., units)", axes=1)
    batch = tuple(range(values.ndim - 1))
    dead = jnp.all(values == 0, axis=batch)
    return jnp.mean(_or_nan(dead, jnp.any(jnp.isnan(values), axis=batch)))


class AttentionStats(NamedTuple):
    """Statistics of attention weights, averaged over all queries.

    Attributes:
        entropy: The entropy over the keys, divided by the entropy of equal weights: 1
            if all keys have the same weight, 0 if one key has the whole weight.
        logit_size: The largest logit minus the mean logit.
    """

    entropy: Float[Array, ""]
    logit_size: Float[Array, ""]


def attention_stats(weights: Float[ArrayLike, "*rows keys"]) -> AttentionStats:
    """Return the entropy of attention weights, and the size of their logits.

    For the weights `p_1 ... p_n` of one query, over the n keys whose weight is not
    zero,

        entropy    = -sum_j p_j log p_j / log n,
        logit_size = max_j log p_j - mean_j log p_j.

    The second is the same for the logits themselves, because a softmax only shifts
    them. Keys of weight zero are masked, or have underflowed.

    Args:
        weights: `(..., keys)`, results of a softmax over the last axis.

    Returns:
        `AttentionStats(entropy, logit_size)`, means over the queries that have at least
        two keys; NaN if none has.

    Raises:
        TypeError: If `weights` is not a floating-point array.
        ValueError: If `weights` has no axis or is empty.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import attention_stats
        >>> stats = attention_stats(jax.nn.softmax(jnp.array([[0.0, 0.0], [9.0, 0.0]])))
        >>> round(float(stats.entropy), 3), round(float(stats.logit_size), 3)
        (0.501, 2.25)

    Source: Zhai et al. 2023, "Stabilizing Transformer Training by Preventing Attention
    Entropy Collapse"; Dehghani et al. 2023, "Scaling Vision Transformers to 22 Billion
    Parameters", section 2, for logits that grow.
    """
    p = as_floats(weights, "weights")
    if p.ndim == 0 or p.size == 0:
        raise ValueError(
            f"`weights` has the shape {p.shape}; wanted (..., keys) with at least one "
            "value."
        )
    present = p > 0
    n = jnp.sum(present, axis=-1, dtype=p.dtype)
    log_p = jnp.where(present, jnp.log(jnp.where(present, p, 1)), 0)
    entropy = -jnp.sum(p * log_p, axis=-1) / jnp.log(jnp.maximum(n, 2))
    largest = jnp.max(jnp.where(present, log_p, -jnp.inf), axis=-1)
    size = largest - jnp.sum(log_p, axis=-1) / jnp.maximum(n, 1)
    several = n > 1
    count = jnp.sum(several, dtype=p.dtype)
    mean = lambda values: jnp.sum(jnp.where(several, values, 0)) / count
    return AttentionStats(mean(entropy), mean(size))


def _some_floats(activations: Any, wanted: str, axes: int = 0) -> Array:
    """Return `activations` in float32 or float64; raise an error if there are none."""
    values = as_floats(activations, "activations")
    if values.ndim < axes or values.size == 0:
        raise ValueError(
            f"`activations` has the shape {values.shape}; wanted {wanted}, with at "
            "least one value."
        )
    return values


def _or_nan(truth: Array, unknown: Array) -> Array:
    """Return 1.0 for true, 0.0 for false and NaN for unknown."""
    return jnp.where(unknown, jnp.float32(jnp.nan), truth.astype(jnp.float32))
