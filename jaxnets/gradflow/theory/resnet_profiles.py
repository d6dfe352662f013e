"""Gradient norms at every block of a ResNet, by simulation of its units."""

from collections.abc import Callable

import jax
import numpy as np

from jaxnets.arguments import as_count
from jaxnets.gradflow.theory.batch_norm import batch_norm_slope
from jaxnets.gradflow.theory.mean_field import Real, check_finite, check_not_negative


# The number of units that represent an infinitely wide layer.
UNITS = 100_000


def resnet_gradient_profile(
    blocks: int,
    *,
    weight_variance: Real,
    layers: int = 2,
    branch_scale: Real = 1.0,
) -> np.ndarray:
    r"""Return the log of the gradient norm at every block of a ResNet with ReLU.

    The blocks are `x_{l+1} = relu(x_l + s F(x_l))`, where F has `layers` layers with
    independent weights, ReLU between them and no normalisation; `x_0` is a rectified
    Gaussian. With `p_l` the mean square of `x_l`, the branch adds a Gaussian of
    variance `kappa p_l` to each unit, and multiplies the squared gradient by

        kappa = s^2 weight_variance (weight_variance / 2)^(layers - 1),

    which it distributes evenly over the units. The shortcut acts on each unit alone: a
    unit far above zero stays positive, so its gradient passes block after block, while
    a unit near zero may become inactive. This dependence has no closed form. The units
    of a wide network are independent, so the function simulates 100,000 of them,
    forwards and backwards.

    Args:
        blocks: Number of residual blocks L.
        weight_variance: Fan-in times the variance of a weight; 2 for He's initialiser.
            For SAME convolutions multiply it by `conv_border_rate`.
        layers: Number of layers with weights in each branch.
        branch_scale: Factor s of the branch.

    Returns:
        `(L + 1,)` nats in float64 for `dL/dx_l`; the last is 0. The error is about
        0.02.

    Raises:
        TypeError: If an argument is not a number, or `blocks` or `layers` not an int.
        ValueError: If `weight_variance` is negative or not finite, `branch_scale` is
            not finite, or `blocks` or `layers` is below 1.

    Example:
        Without a branch, half of the units stay at zero, where ReLU passes no gradient:

        >>> from jaxnets.gradflow.theory import resnet_gradient_profile
        >>> resnet_gradient_profile(3, weight_variance=0.0).round(2)
        array([-0.35, -0.35, -0.35,  0.  ])

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", for the
    block; Yang and Schoenholz 2017, "Mean Field Residual Networks: On the Edge of
    Chaos", for the method, which they do not apply to this block; Hanin and Rolnick
    2018, "How to Start Training", for the branch scale.
    """
    check_not_negative(weight_variance=weight_variance)
    check_finite("branch_scale", branch_scale)
    blocks, layers = as_count(blocks, "blocks"), as_count(layers, "layers")
    gain = weight_variance * (weight_variance / 2) ** (layers - 1)
    kappa = float(branch_scale**2 * gain)

    def block(x):
        # Only the ratio of branch and shortcut matters, so x is rescaled.
        x = x / np.sqrt(np.mean(np.square(x)))
        return x, kappa, kappa

    return _simulate(block, blocks)


def batch_norm_resnet_profile(blocks: int, *, layers: int = 2) -> np.ndarray:
    r"""Return the log of the gradient norm at every block of a ResNet with BatchNorm.

    The blocks are `x_{l+1} = relu(x_l + F(x_l))`, where F has `layers` layers, each
    followed by BatchNorm, and all but the last by ReLU; `x_0` is a rectified standard
    normal. The output of the branch has variance 1 over the batch for all weights, so x
    grows from block to block. The branch multiplies the squared gradient by

        kappa_l = (pi / (pi - 1))^(layers - 1) / Var[x_l].

    The first factor is that of `batch_norm_slope` for each ReLU; the first BatchNorm
    divides by the variance of x over the batch. As x grows, the branch contributes less
    and less, and the gradient grows as a power of depth, not exponentially. The units
    are simulated as in `resnet_gradient_profile`.

    Args:
        blocks: Number of residual blocks L.
        layers: Number of layers with weights in each branch.

    Returns:
        `(L + 1,)` nats in float64 for `dL/dx_l`; the last is 0. The error is about
        0.02.

    Raises:
        TypeError: If an argument is not a number, or a count not an int.
        ValueError: If `blocks` or `layers` is below 1.

    Example:
        >>> from jaxnets.gradflow.theory import batch_norm_resnet_profile
        >>> batch_norm_resnet_profile(3).round(1)
        array([1.3, 0.7, 0.3, 0. ])

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", for the
    block; De and Smith 2020, "Batch Normalization Biases Residual Blocks Towards the
    Identity Function in Deep Networks", for the growth of x; Yang et al. 2019, "A Mean
    Field Theory of Batch Normalization", for the factor of a layer.
    """
    blocks, layers = as_count(blocks, "blocks"), as_count(layers, "layers")
    gain = np.exp(2 * batch_norm_slope(jax.nn.relu) * (layers - 1))
    return _simulate(lambda x: (x, 1.0, float(gain / np.var(x))), blocks)


def _simulate(
    block: Callable[[np.ndarray], tuple[np.ndarray, float, float]], blocks: int
) -> np.ndarray:
    """Simulate units forwards through all blocks, and squared gradients backwards.

    Args:
        block: Function of the units at the input of a block. It returns the rescaled
            units, the variance that the branch adds to each, and the branch's factor of
            the squared gradient.
        blocks: Number of blocks.

    Returns:
        The log of the gradient norm at every block.
    """
    generator = np.random.default_rng(0)
    x = np.maximum(generator.normal(size=UNITS), 0.0)
    passed = []
    for _ in range(blocks):
        x, added, kappa = block(x)
        u = x + np.sqrt(added) * generator.normal(size=UNITS)
        passed.append((u > 0, kappa))
        x = np.maximum(u, 0.0)
    logs, squared = np.zeros(blocks + 1), np.ones(UNITS)
    for index in range(blocks - 1, -1, -1):
        active, kappa = passed[index]
        squared = active * squared
        squared = squared + kappa * np.mean(squared)
        factor = np.mean(squared)
        squared = squared / factor
        logs[index] = logs[index + 1] + 0.5 * np.log(factor)
    return logs
