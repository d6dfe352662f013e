"""What single units do: how long gates remember, how many activations saturate."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.trees import wide_dtype
from jaxnets.tap import SATURATED
from jaxnets.typing import ArrayLike


KINDS = ("sigmoid", "tanh", "relu")


def gate_timescales(gate: Float[ArrayLike, "*steps hidden"]) -> Float[Array, " hidden"]:
    """Return how many steps each unit remembers, from the values of its forget gate.

    A cell that keeps the share f of itself in every step falls as `f^t`, that is
    `exp(-t / tau)` with

        tau = -1 / log(mean f),

    the mean over all axes but the last. It is the memory of the direct path only: the
    gradient also travels through the recurrent weights, which can shorten it or
    lengthen it.

    Args:
        gate: Values between 0 and 1 that multiply the old state: the LSTM's `f`, or the
            GRU's `z` (here `h' = (1 - z) * n + z * h`). Last axis H units, before it
            any axes of batch and time.

    Returns:
        `(H,)` timescales in steps: 0 for a gate that is always shut, infinity for one
        that is always open.

    Raises:
        ValueError: If there is no value to average.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import gate_timescales
        >>> gate_timescales(jnp.array([[0.5, 0.99], [0.5, 0.99]]))
        Array([ 1.442..., 99.49...], dtype=float32)

    Source: Tallec and Ollivier 2018, "Can recurrent neural networks warp time?",
    section 2, who give the characteristic forgetting time as `1 / (1 - f)`, the same
    for slow gates. Keras names the GRU's gate the same way; Cho et al. 2014 swap
    `z` and `1 - z`.
    """
    values = _float_values(gate, "gate")
    if values.ndim == 0 or values.size == 0:
        raise ValueError(
            f"`gate` has the shape {values.shape}; wanted (..., hidden) with at least "
            "one value for each unit. Pass the gate of a whole sequence."
        )
    mean = jnp.mean(values, axis=tuple(range(values.ndim - 1)))
    # The absolute value turns -1 / log(1) = -1 / 0 into plus infinity.
    return 1.0 / jnp.abs(jnp.log(mean))


def saturation(activations: Float[ArrayLike, "*shape"], kind: str) -> Float[Array, ""]:
    """Return the share of activations in the flat part of their function.

    - `"tanh"`: `|a| > 0.97`; the derivative is below 0.06 of its largest value.
    - `"sigmoid"`: `a < 0.03` or `a > 0.97`; below 0.12 of its largest value.
    - `"relu"`: `a == 0`; the derivative is 0, the unit is inactive at this input.

    Args:
        activations: Outputs of the activation function, of any shape.
        kind: `"sigmoid"`, `"tanh"` or `"relu"`; capitals do not matter.

    Returns:
        A share between 0 and 1. NaN counts as not saturated.

    Raises:
        ValueError: If `kind` is none of the three.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import saturation
        >>> saturation(jnp.tanh(jnp.array([-4.0, 0.0, 1.0, 3.0])), "tanh")
        Array(0.5, dtype=float32)

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep
    feedforward neural networks", section 3, for the effect; the thresholds are a
    convention. It differs from the intrinsic-rank measure that Delve calls saturation.
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
            f"`kind` is {kind!r}; wanted one of {KINDS}. Choose by the function that "
            "made the activations."
        )
    return jnp.mean(saturated, dtype=jnp.float32)


def dead_units(activations: Float[ArrayLike, "*batch units"]) -> Float[Array, ""]:
    """Return the share of units that are zero at every input: dead ReLUs.

    A unit that is zero at some inputs only is inactive there (see `saturation`); one
    that is zero at all of them gets no gradient, so it cannot come back by itself.

    Args:
        activations: Outputs of ReLU; last axis units (channels), before it any axes of
            batch, space and time, over which a unit must be zero to count.

    Returns:
        A share between 0 and 1.

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
    """Return `values` in float32 or wider, or refuse what is not floating point."""
    dtype = jnp.result_type(values)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"`{name}` has dtype {dtype}; wanted a floating-point array. Pass the "
            "values themselves, not counts or masks."
        )
    return jnp.asarray(values).astype(wide_dtype(values))
