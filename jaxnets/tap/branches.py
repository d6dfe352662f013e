"""`branch`: the identity that scales only the gradient through a residual branch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def branch(
    residual: Float[Array | np.ndarray, "*shape"],
    branch_scale: float | Float[Array | np.ndarray, ""],
) -> Float[Array, "*shape"]:
    """Return `residual`; scale only the gradient that passes through it.

    Write a residual block as `x + branch(f(x), branch_scale)`. The value of the block
    is `x + f(x)` for every `branch_scale`, and its Jacobian is
    `1 + branch_scale * f'(x)`. So a derivative with respect to `branch_scale` counts
    the branches on the way of the gradient, without the effect that a scaled branch
    would have on the activations: see `jaxnets.gradflow.effective_path_length`.

    Args:
        residual: The output of the residual branch, of any shape.
        branch_scale: A scalar; 1 is the ordinary block, 0 leaves only the shortcuts.

    Returns:
        `residual`.

    Raises:
        TypeError: If an argument is not an array or a number.
        ValueError: If `branch_scale` is not a scalar.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow import branch
        >>> jax.value_and_grad(lambda x: x + branch(3.0 * x, 0.5))(2.0)
        (Array(8., dtype=float32, weak_type=True), Array(2.5, dtype=float32, ...))
    """
    for name, value in {"residual": residual, "branch_scale": branch_scale}.items():
        if not hasattr(value, "dtype") and not isinstance(value, int | float | complex):
            raise TypeError(
                f"`{name}` is of type {type(value).__name__}; wanted an array of "
                "numbers."
            )
    if jnp.shape(branch_scale) != ():
        raise ValueError(
            f"`branch_scale` has shape {jnp.shape(branch_scale)}; wanted one number, "
            "such as 1.0. Multiply the branch itself to scale its features."
        )
    return _scaled_in_the_gradient(residual, branch_scale)


@jax.custom_jvp
def _scaled_in_the_gradient(residual: Any, branch_scale: Any) -> jax.Array:
    del branch_scale
    return jnp.asarray(residual)


@_scaled_in_the_gradient.defjvp
def _branch_jvp(primals, tangents):
    residual, branch_scale = primals
    tangent, _ = tangents
    value = _scaled_in_the_gradient(residual, branch_scale)
    return value, jnp.asarray(branch_scale, value.dtype) * tangent
