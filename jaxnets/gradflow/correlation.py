"""How alike the gradients at different inputs are."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.trees import as_floats, one_for_zero
from jaxnets.typing import ArrayLike


def gradient_correlation(
    gradients: Float[ArrayLike, "batch *shape"],
) -> Float[Array, ""]:
    """Return the mean pairwise correlation of the gradients at different inputs.

    For gradients `g_1 .. g_B`, one for each input, it is the mean cosine

        2 / (B (B - 1)) * sum_{i < j} <g_i, g_j> / (||g_i|| ||g_j||).

    The gradients are not centred: over random weights their mean is zero, so the cosine
    estimates the correlation. Shattered gradients, which look like white noise
    from input to input, give 0; a linear network gives 1. Balduzzi et al. find 1/2^L
    for a plain ReLU network of L layers, and about 1/sqrt(L) for a residual network
    with BatchNorm.

    Args:
        gradients: `(B, ...)`, the gradient of one output, or of the loss, with respect
            to each of B inputs, or to the activations of a layer.

    Returns:
        The mean, between -1/(B - 1) and 1, in float32, or in float64 for float64
        gradients. A gradient of exactly zero has correlation zero with all others.

    Raises:
        TypeError: If `gradients` is not a floating-point array.
        ValueError: If there are fewer than two gradients, or they are empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import gradient_correlation
        >>> gradient_correlation(jnp.array([[1.0, 0.0], [1.0, 1.0]]))  # cos 45 degrees
        Array(0.70710..., dtype=float32)

    Source: Balduzzi et al. 2017, "The Shattered Gradients Problem: If resnets are the
    answer, then what is the question?", sections 2 and 3. A plain stack without
    BatchNorm or centred inputs makes all inputs collinear and hides the effect.
    """
    values = as_floats(gradients, "gradients")
    if values.shape[:1] < (2,) or values.size == 0:
        raise ValueError(
            f"`gradients` has shape {values.shape}; wanted gradients at two or more "
            "inputs on the first axis, such as `jax.vmap(jax.grad(f))(x)`."
        )
    batch = values.shape[0]
    rows = values.reshape(batch, -1)
    # Divided by the maximum first, so that squares of tiny gradients do not underflow.
    units = rows / one_for_zero(jnp.max(jnp.abs(rows), axis=1, keepdims=True))
    units = units / one_for_zero(jnp.linalg.norm(units, axis=1, keepdims=True))
    # The squared norm of the sum contains every pair twice and every gradient's square.
    total, own = jnp.sum(jnp.sum(units, axis=0) ** 2), jnp.sum(units**2)
    return (total - own) / (batch * (batch - 1))
