"""What a training step does: how far it moves, and how much of it is noise."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.trees import split_inexact, unit_and_norm, wide_dtype


def update_ratios(updates: Any, params: Any) -> dict[str, Float[Array, ""]]:
    """Return how far a step moves each weight, relative to the weight.

    `||update|| / ||param||` for each array. About 1e-3 is the usual target: much lower
    and the array hardly learns, much higher (1e-2) and the learning rate is too large
    for it. One array far from the others shows a layer whose gradient vanishes or
    explodes, or an initialiser out of scale.

    Args:
        updates: What is added to the parameters, learning rate and all: the updates
            that an Optax transform returns, or the difference of two checkpoints.
        params: The parameters before the step, a pytree of the same structure.

    Returns:
        The ratio of each floating-point array by its path, such as `"head/kernel"`, in
        float32 or wider. Infinity where the parameter is all zero and the update is
        not, 0 where neither moves.

    Raises:
        ValueError: If `updates` does not have the structure and shapes of `params`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import update_ratios
        >>> params = {"head": {"kernel": jnp.array([3.0, 4.0])}}
        >>> updates = {"head": {"kernel": jnp.array([0.0, 0.01])}}
        >>> update_ratios(updates, params)
        {'head/kernel': Array(0.002, dtype=float32)}

    Source: Karpathy 2022, "makemore" part 3, for the line at 1e-3, who divides standard
    deviations of one weight matrix; norms are the same for a mean of zero, and hold for
    biases and gains too.
    """
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
    """The noise scale of a gradient, and the two estimates it is made of.

    Attributes:
        scale: Examples: `trace / squared_norm`, infinity where the latter is not above
            0, because then the noise hides the gradient.
        trace: Estimate of `tr(Sigma)`, the variance of one example's gradient summed
            over the parameters.
        squared_norm: Estimate of `||G||^2` of the true gradient; can come out negative.
    """

    scale: Float[Array, ""]
    trace: Float[Array, ""]
    squared_norm: Float[Array, ""]


def gradient_noise_scale(gradients: Any, *, batch_size: int = 1) -> GradientNoise:
    """Return the batch size beyond which a gradient is mostly signal.

    With G the true gradient and Sigma the covariance of one example's gradient, the
    simple noise scale is

        B_simple = tr(Sigma) / ||G||^2.

    Below that batch size more examples buy nearly proportionally faster training; far
    above it they buy little. From K gradients `g_k`, each the mean over b examples,
    with mean g, both parts are estimated without bias:

        trace        = b / (K - 1) * sum_k ||g_k - g||^2,
        squared_norm = ||g||^2 - trace / (b K).

    The quotient is biased, and noisy for few gradients: to follow it in training,
    average `trace` and `squared_norm` over steps apart, then divide.

    Args:
        gradients: Gradients of disjoint batches with a leading axis K: a pytree, for
            example of `jax.vmap(jax.grad(loss), (None, 0))` for each example, or one
            for each device or accumulation step.
        batch_size: Examples b in the mean of each gradient; 1 for single examples.

    Returns:
        `GradientNoise(scale, trace, squared_norm)`, in float32 or wider.

    Raises:
        ValueError: If there are fewer than two gradients, their number differs between
            arrays, or `batch_size` < 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import gradient_noise_scale
        >>> gradient_noise_scale({"w": jnp.array([[1.0, 3.0], [3.0, 3.0]])})
        GradientNoise(scale=Array(0.1666..., ...), trace=Array(2.0..., ...),
        squared_norm=Array(12.0..., ...))

    Source: McCandlish, Kaplan, Amodei et al. 2018, "An Empirical Model of Large-Batch
    Training" (arXiv 1812.06162), section 2.2 and appendix A.1, whose estimates for a
    small batch of b and a big one of K b examples these are.
    """
    leaves = split_inexact(gradients)[0]
    counts = {jnp.shape(leaf)[:1] for leaf in leaves}
    if len(counts) != 1 or min(counts) < (2,):
        raise ValueError(
            f"`gradients` has the shapes {jax.tree.map(jnp.shape, gradients)}; wanted "
            "arrays with one leading axis of at least two gradients. Take them for "
            "each example with `jax.vmap(jax.grad(loss), (None, 0))(params, batch)`."
        )
    if batch_size < 1:
        raise ValueError(f"`batch_size` is {batch_size}; wanted 1 or more examples.")
    count = counts.pop()[0]
    wide = wide_dtype(*leaves)
    rows = [jnp.asarray(leaf).astype(wide).reshape(count, -1) for leaf in leaves]
    # Scaled to unit length together, so that squares of tiny gradients are not lost.
    rows, length = unit_and_norm(rows)
    means = [jnp.mean(row, axis=0) for row in rows]
    around = [row - mean[None] for row, mean in zip(rows, means, strict=True)]
    squares = lambda arrays: jnp.stack([jnp.sum(jnp.square(a)) for a in arrays]).sum()
    trace = batch_size / (count - 1) * squares(around)
    squared_norm = squares(means) - trace / (batch_size * count)
    visible = jnp.maximum(squared_norm, 0.0)
    return GradientNoise(
        scale=_ratio(trace, visible),
        trace=trace * length**2,
        squared_norm=squared_norm * length**2,
    )


def _ratio(above: Array, below: Array) -> Array:
    """Divide; nothing by nothing is nothing."""
    return jnp.where(above == 0, jnp.zeros_like(above), above / below)
