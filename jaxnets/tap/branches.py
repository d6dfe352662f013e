"""`branch`: the identity that scales only the gradient through a residual branch."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@jax.custom_jvp
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

    Example:
        >>> import jax
        >>> from jaxnets.gradflow import branch
        >>> jax.value_and_grad(lambda x: x + branch(3.0 * x, 0.5))(2.0)
        (Array(8., dtype=float32, weak_type=True), Array(2.5, dtype=float32, ...))
    """
    del branch_scale
    return jnp.asarray(residual)


@branch.defjvp
def _branch_jvp(primals, tangents):
    residual, branch_scale = primals
    tangent, _ = tangents
    value = branch(residual, branch_scale)
    return value, jnp.asarray(branch_scale, value.dtype) * tangent
