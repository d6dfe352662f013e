"""How much of a network passes through its blocks, and how much around them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxnets.arguments import as_count, check_callable
from jaxnets.gradflow.trees import check_arrays, split_inexact, unit_and_norm


def effective_path_length(
    input_gradient: Callable[[Float[Array, ""]], Any],
) -> Float[Array, ""]:
    """Return the mean number of residual branches on the paths of the gradient.

    A network of n residual blocks is a sum over 2^n paths. If `branch` scales the
    gradient through each branch by a, the gradient at the input is a polynomial

        g(a) = sum_k a^k g_k,

    where `g_k` is the sum over all paths of exactly k branches. The length is the mean
    of k, weighted by the projections of the `g_k` on the gradient g = g(1):

        length = sum_k k <g_k, g> / <g, g> = 1/2 d log ||g(a)||^2 / da   at a = 1.

    One forward-mode derivative of the gradient gives it exactly, without sampling. For
    a linear network whose branches are `eps * x` it is `n * eps / (1 + eps)`. It can be
    below 0 or above n if paths cancel each other.

    Args:
        input_gradient: Function from a scalar `branch_scale`, which it passes to
            `branch` in every block, to `dL/dx` at the input of the first block or of
            the network, an array or a pytree.

    Returns:
        The length, in branches; NaN if the gradient is zero.

    Raises:
        TypeError: If `input_gradient` is not a function that returns arrays.
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
    Relatively Shallow Networks", section 4. They sample paths and weight each length by
    the norm of its gradient; here paths of opposite sign cancel.
    """
    wanted = "a function of `branch_scale` that returns dL/dx"
    check_callable("input_gradient", input_gradient, wanted)

    def leaves(branch_scale):
        found = input_gradient(branch_scale)
        check_arrays("input_gradient(branch_scale)", found)
        return split_inexact(found)[0]

    gradient, slope = jax.jvp(leaves, (jnp.float32(1.0),), (jnp.float32(1.0),))
    if not gradient:
        raise ValueError(
            "`input_gradient` returned no floating-point array; wanted dL/dx. Pass for "
            "example `lambda a: jax.grad(lambda x: loss(x, branch_scale=a))(x)`."
        )
    unit, norm = unit_and_norm(gradient)
    shares = [jnp.vdot(u, s / norm) for u, s in zip(unit, slope, strict=True)]
    return jnp.sum(jnp.stack(shares))


def lesion_profile(
    loss: Callable[[Bool[Array, " blocks"]], Any],
    blocks: int,
    *,
    batch_size: int | None = None,
) -> Float[Array, " blocks"]:
    """Return by how much the loss changes when each block alone is left out.

    Element l is `loss(skipped) - loss(none)`, where `skipped` is true at l only. In a
    residual network it is small for most blocks, because most paths do not pass through
    a given block; in a plain one each block matters.

    Args:
        loss: Function from `skipped (L,)`, which says for each block whether it is left
            out, to a scalar, such as
            `lambda skipped: loss_of(model(x, skipped=skipped))` for
            `jaxnets.nn.Stack` and the networks of `jaxnets.models`. It must not change
            anything, so call `model.eval()` before.
        blocks: L, number of blocks.
        batch_size: How many networks to compute at a time. None computes all in one
            `jax.vmap`, which needs the memory of L forward passes.

    Returns:
        The changes, `(L,)`.

    Raises:
        TypeError: If `loss` is not a function, or a number not an int.
        ValueError: If a number is below 1, or `loss` does not return a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import lesion_profile
        >>> factors = jnp.array([1.0, 2.0, 5.0])
        >>> lesion_profile(lambda skipped: jnp.prod(jnp.where(skipped, 1, factors)), 3)
        Array([ 0., -5., -8.], dtype=float32)

    Source: Veit, Wilber and Belongie 2016, "Residual Networks Behave Like Ensembles of
    Relatively Shallow Networks", section 4.1 and figure 3.
    """
    check_callable("loss", loss, "a function of `skipped` that returns the loss")
    blocks = as_count(blocks, "blocks")
    if batch_size is not None:
        batch_size = as_count(batch_size, "batch_size")

    def scalar(skipped: Array) -> Array:
        found = jnp.asarray(loss(skipped))
        if found.shape != ():
            raise ValueError(
                f"`loss` returned shape {found.shape}; wanted one number, such as the "
                "mean over the batch."
            )
        return found

    # The first network is the whole one.
    masks = jnp.eye(blocks + 1, blocks, k=-1, dtype=bool)
    found = jax.lax.map(scalar, masks, batch_size=batch_size or blocks + 1)
    return found[1:] - found[0]
