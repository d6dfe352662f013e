"""Statistics of single units: time scales of gates, saturated and dead activations."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.trees import wide_dtype
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
        one that is always open.

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
    values = _float_values(gate, "gate")
    if values.ndim == 0 or values.size == 0:
        raise ValueError(
            f"`gate` has the shape {values.shape}; wanted (..., hidden) with at least "
            "one value per unit. Pass the gate of a whole sequence."
        )
    mean = jnp.mean(values, axis=tuple(range(values.ndim - 1)))
    # abs, because -1 / log(1) would be minus infinity.
    return 1.0 / jnp.abs(jnp.log(mean))


def saturation(activations: Float[ArrayLike, "*shape"], kind: str) -> Float[Array, ""]:
    """Return the fraction of activations in the flat part of their function.

    - `"tanh"`: `|a| > 0.97`; the derivative is below 0.06 of its largest value.
    - `"sigmoid"`: `a < 0.03` or `a > 0.97`; below 0.12 of its largest value.
    - `"relu"`: `a == 0`; the derivative is 0, and the unit is inactive at this input.

    Args:
        activations: Outputs of the activation function, of any shape.
        kind: `"sigmoid"`, `"tanh"` or `"relu"`, in upper or lower case.

    Returns:
        A fraction between 0 and 1. NaN counts as not saturated.

    Raises:
        TypeError: If `activations` is not a floating-point array.
        ValueError: If `kind` is none of the three.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import saturation
        >>> saturation(jnp.tanh(jnp.array([-4.0, 0.0, 1.0, 3.0])), "tanh")
        Array(0.5, dtype=float32)

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep
    feedforward neural networks", section 3, for the effect; the thresholds are a
    convention. Delve uses the word for another measure, an intrinsic rank.
    """
    values = _float_values(activations, "activations")
    name = kind.lower()
    if name == "tanh":
        saturated = jnp.abs(values) > SATURATED
    elif name == "sigmoid":
        saturated = (values < 1 - SATURATED) | (values > SATURATED)
    elif name == "relu":
        saturated = values == 0
    else:
        raise ValueError(
            f"`kind` is {kind!r}; wanted one of {KINDS}. Choose the function that "
            "returned `activations`."
        )
    return jnp.mean(saturated, dtype=jnp.float32)


def dead_units(activations: Float[ArrayLike, "*batch units"]) -> Float[Array, ""]:
    """Return the fraction of units that are zero at every input: dead ReLUs.

    A unit that is zero at some inputs is only inactive there (see `saturation`). A unit
    that is zero at all inputs gets no gradient, so its own weights do not recover.

    Args:
        activations: `(..., units)`, outputs of ReLU. A unit is dead if it is zero over
            all leading axes, of batch, space or time.

    Returns:
        A fraction between 0 and 1.

    Raises:
        TypeError: If `activations` is not a floating-point array.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import dead_units
        >>> dead_units(jnp.array([[0.0, 0.0], [0.0, 2.0]]))
        Array(0.5, dtype=float32)
    """
    values = _float_values(activations, "activations")
    dead = jnp.all(values == 0, axis=tuple(range(values.ndim - 1)))
    return jnp.mean(dead, dtype=jnp.float32)


def _float_values(values: ArrayLike, name: str) -> Array:
    """Return `values` in float32 or float64; raise a TypeError for other kinds."""
    dtype = jnp.result_type(values)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"`{name}` has dtype {dtype}; wanted a floating-point array. Pass the "
            "values themselves, not counts or masks."
        )
    return jnp.asarray(values).astype(wide_dtype(values))
