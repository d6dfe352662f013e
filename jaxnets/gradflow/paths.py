"""How many residual branches the gradient of a network passes through."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.trees import split_inexact, unit_and_norm


def effective_path_length(
    input_gradient: Callable[[Float[Array, ""]], Any],
) -> Float[Array, ""]:
    """Return the mean number of residual branches on the paths that carry the gradient.

    A network of n residual blocks is a sum over 2^n paths. With the gradient through
    each branch scaled by a, as `branch` does, the gradient at the input is a polynomial

        g(a) = sum_k a^k g_k,

    where `g_k` is what arrives over all paths of exactly k branches. The length is the
    mean of k weighted by the shares of the `g_k` in the gradient, their projections
    on it:

        length = sum_k k <g_k, g> / <g, g> = 1/2 d log ||g(a)||^2 / da   at a = 1.

    One forward-mode derivative of the gradient gives it exactly, without sampling. For
    a linear network whose branches are `eps * x` it is `n * eps / (1 + eps)`. It can
    fall below 0 or exceed n where paths cancel each other.

    Args:
        input_gradient: Maps a scalar `branch_scale` to `dL/dx` at the input of the
            first block (or at the input of the network), an array or pytree, with
            `branch_scale` passed to `branch` in every block.

    Returns:
        The length, in branches; NaN where the gradient is zero.

    Raises:
        ValueError: If `input_gradient` returns no floating-point array.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow import branch, effective_path_length
        >>> def network(x, branch_scale):
        ...     for _ in range(6):
        ...         x = x + branch(0.5 * x, branch_scale)
        ...     return x
        >>> effective_path_length(lambda a: jax.grad(network)(1.0, a))
        Array(2., dtype=float32)

    Source: Veit, Wilber and Belongie 2016, "Residual Networks Behave Like Ensembles of
    Relatively Shallow Networks", section 4, who sample paths and weight each length
    with the norms of its gradients; here paths that cancel do cancel.
    """

    def leaves(branch_scale):
        return split_inexact(input_gradient(branch_scale))[0]

    gradient, slope = jax.jvp(leaves, (jnp.float32(1.0),), (jnp.float32(1.0),))
    if not gradient:
        raise ValueError(
            "`input_gradient` returned no floating-point array; wanted dL/dx. Pass "
            "`lambda a: jax.grad(lambda x: loss(x, branch_scale=a))(x)`."
        )
    unit, norm = unit_and_norm(gradient)
    shares = [jnp.vdot(u, s / norm) for u, s in zip(unit, slope, strict=True)]
    return jnp.sum(jnp.stack(shares))
