"""The size of a training step, and the noise of its gradient."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.arguments import as_count
from jaxnets.gradflow.trees import (
    check_arrays,
    split_inexact,
    unit_and_norm,
    wide_dtype,
)


def update_ratios(updates: Any, params: Any) -> dict[str, Float[Array, ""]]:
    """Return the norm of each update divided by the norm of its parameter.

    The ratio is `||update|| / ||param||` for each array, and about 1e-3 is the usual
    target. If it is much lower the array hardly learns; if it is much higher (1e-2) the
    learning rate is too large for the array. An array far from the others points to a
    layer whose gradient vanishes or explodes, or whose initialiser is out of scale.

    Args:
        updates: The arrays that are added to the parameters, after the learning rate:
            the updates that an Optax transform returns, or the difference of two
            checkpoints.
        params: The parameters before the step, a pytree of the same structure.

    Returns:
        The ratio of each floating-point array by its path, such as `"head/kernel"`, in
        float32 or float64. It is infinity if only the parameter is zero, and 0 if the
        update is zero.

    Raises:
        TypeError: If `updates` or `params` does not consist of arrays.
        ValueError: If `updates` does not have the structure and shapes of `params`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import update_ratios
        >>> params = {"head": {"kernel": jnp.array([3.0, 4.0])}}
        >>> updates = {"head": {"kernel": jnp.array([0.0, 0.01])}}
        >>> update_ratios(updates, params)
        {'head/kernel': Array(0.002, dtype=float32)}

    Source: Karpathy 2022, "makemore" part 3, for the target of 1e-3. He divides
    standard deviations of weight matrices; for a mean of zero this ratio of norms is
    the same, and it is also defined for biases and gains.
    """
    check_arrays("updates", updates)
    check_arrays("params", params)
    wanted = jax.tree.map(jnp.shape, params)
    came = jax.tree.map(jnp.shape, updates)
    if came != wanted:
        raise ValueError(
            f"`updates` has the shapes {came}; wanted those of `params`, {wanted}. "
            "Pass what `optimizer.update` returned for these parameters."
        )
    moves = jax.tree.leaves(updates)
    ratios = {}
    for (path, param), move in zip(
        jax.tree_util.tree_leaves_with_path(params), moves, strict=True
    ):
        if split_inexact(param)[0]:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            ratios[name] = _ratio(unit_and_norm([move])[1], unit_and_norm([param])[1])
    return ratios


class GradientNoise(NamedTuple):
    """The noise scale of a gradient, and the two estimates whose ratio it is.

    Attributes:
        scale: `trace / squared_norm`, a number of examples. It is infinity if
            `squared_norm` is not above 0, because then the noise hides the gradient.
        trace: Estimate of `tr(Sigma)`, the variance of one example's gradient summed
            over the parameters.
        squared_norm: Estimate of `||G||^2` of the true gradient; it can be negative.
    """

    scale: Float[Array, ""]
    trace: Float[Array, ""]
    squared_norm: Float[Array, ""]


def gradient_noise_scale(gradients: Any, *, batch_size: int = 1) -> GradientNoise:
    """Return the batch size beyond which a gradient is mostly signal.

    With G the true gradient and Sigma the covariance of one example's gradient, the
    simple noise scale is

        B_simple = tr(Sigma) / ||G||^2.

    Below that batch size, training speeds up nearly in proportion to the batch size;
    far above it, larger batches gain little. From K gradients `g_k` with mean g, each
    the mean over b examples, the unbiased estimates of both parts are

        trace        = b / (K - 1) * sum_k ||g_k - g||^2,
        squared_norm = ||g||^2 - trace / (b K).

    Their ratio is biased, and noisy for few gradients. To follow it during training,
    average `trace` and `squared_norm` over steps first, then divide.

    Args:
        gradients: Gradients of K disjoint batches, a pytree of arrays with a leading
            axis K. They may be per example, from `jax.vmap(jax.grad(loss), (None, 0))`,
            per device, or per accumulation step.
        batch_size: Number of examples b in the mean of each gradient; 1 for single
            examples.

    Returns:
        `GradientNoise(scale, trace, squared_norm)`, in float32 or float64.

    Raises:
        TypeError: If `gradients` does not consist of arrays, or `batch_size` is not an
            int.
        ValueError: If there are fewer than two gradients, their number differs between
            arrays, or `batch_size` is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import gradient_noise_scale
        >>> gradient_noise_scale({"w": jnp.array([[1.0, 3.0], [3.0, 3.0]])})
        GradientNoise(scale=Array(0.1666..., ...), trace=Array(2.0..., ...),
        squared_norm=Array(12.0..., ...))

    Source: McCandlish, Kaplan, Amodei et al. 2018, "An Empirical Model of Large-Batch
    Training" (arXiv 1812.06162), section 2.2 and appendix A.1: their estimates for a
    small batch of b examples and a large batch of K b examples.
    """
    check_arrays("gradients", gradients)
    leaves = split_inexact(gradients)[0]
    counts = {jnp.shape(leaf)[:1] for leaf in leaves}
    if len(counts) != 1 or min(counts) < (2,):
        raise ValueError(
            f"`gradients` has the shapes {jax.tree.map(jnp.shape, gradients)}; wanted "
            "arrays with one leading axis of at least two gradients, such as "
            "`jax.vmap(jax.grad(loss), (None, 0))(params, batch)`."
        )
    batch_size = as_count(batch_size, "batch_size")
    count = counts.pop()[0]
    wide = wide_dtype(*leaves)
    rows = [jnp.asarray(leaf).astype(wide).reshape(count, -1) for leaf in leaves]
    # Scaled to unit length, so that the squares of tiny gradients do not underflow.
    rows, length = unit_and_norm(rows)
    means = [jnp.mean(row, axis=0) for row in rows]
    deviations = [row - mean[None] for row, mean in zip(rows, means, strict=True)]
    trace = batch_size / (count - 1) * _sum_of_squares(deviations)
    squared_norm = _sum_of_squares(means) - trace / (batch_size * count)
    return GradientNoise(
        scale=_ratio(trace, jnp.maximum(squared_norm, 0.0)),
        trace=trace * length**2,
        squared_norm=squared_norm * length**2,
    )


def _sum_of_squares(arrays: list[Array]) -> Array:
    return jnp.stack([jnp.sum(jnp.square(array)) for array in arrays]).sum()


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Divide; zero divided by zero is zero."""
    zero = jnp.zeros_like(numerator)
    return jnp.where(numerator == 0, zero, numerator / denominator)
