"""Gradients over the blocks of a ResNet, whose units are followed one by one."""

from collections.abc import Callable

import jax
import numpy as np

from jaxnets.gradflow.theory.batch_norm import batch_norm_slope
from jaxnets.gradflow.theory.mean_field import Real, check_not_negative
from jaxnets.gradflow.theory.profiles import positive


# The units that stand for an infinitely wide layer.
UNITS = 100_000


def resnet_gradient_profile(
    blocks: int,
    *,
    weight_variance: Real,
    layers: int = 2,
    branch_scale: Real = 1.0,
) -> np.ndarray:
    r"""Return the log of the gradient norm at every block of a ResNet with ReLU.

    For blocks `x_{l+1} = relu(x_l + s F(x_l))`, F of `layers` layers with independent
    weights and ReLU between them, no normalisation, and `x_0` a rectified Gaussian.
    The branch adds to each unit a Gaussian of variance `kappa p_l`, p the mean square
    of x, and multiplies the squared gradient by the same

        kappa = s^2 weight_variance (weight_variance / 2)^(layers - 1),

    which it spreads evenly over the units. The shortcut keeps to its unit: a unit that
    is far above zero stays there, so its gradient passes block after block, while one
    at zero may be shut. That dependence has no closed form. In a wide network units are
    independent, and 100,000 of them are followed forwards and back.

    Args:
        blocks: Residual blocks L.
        weight_variance: Fan-in times the variance of a weight, 2 for He's initialiser.
            For SAME convolutions multiply it by `conv_border_rate`.
        layers: Layers with weights in each branch.
        branch_scale: Factor s of the branch.

    Returns:
        `(L + 1,)` nats in float64 for `dL/dx_l`, the last is 0; right to about 0.02.

    Raises:
        ValueError: If `weight_variance` is negative or not finite, or `blocks` or
            `layers` is below 1.

    Example:
        Without a branch half of the units stay at zero, where ReLU passes nothing:

        >>> resnet_gradient_profile(3, weight_variance=0.0).round(2)
        array([-0.35, -0.35, -0.35,  0.  ])

    Source: the block of He et al. 2015, "Deep Residual Learning for Image Recognition";
    the method is that of Yang and Schoenholz 2017, who leave out this block. Hanin and
    Rolnick 2018, "How to Start Training", for the branch scale.
    """
    check_not_negative(weight_variance=weight_variance)
    _check_layers(layers)
    gain = weight_variance * (weight_variance / 2) ** (layers - 1)
    kappa = float(branch_scale**2 * gain)

    def block(x):
        # Only the ratio of branch and shortcut counts, so their scale is kept.
        x = x / np.sqrt(np.mean(np.square(x)))
        return x, kappa, kappa

    return _followed(block, blocks)


def batch_norm_resnet_profile(blocks: int, *, layers: int = 2) -> np.ndarray:
    r"""Return the log of the gradient norm at every block of a ResNet with BatchNorm.

    For blocks `x_{l+1} = relu(x_l + F(x_l))`, F of `layers` layers, each followed by
    BatchNorm and all but the last by ReLU, and `x_0` a rectified standard normal. What
    the branch adds has variance 1 over the batch, whatever the weights, so x grows from
    block to block; the branch multiplies the squared gradient by

        kappa_l = (pi / (pi - 1))^(layers - 1) / Var[x_l],

    the growth of `batch_norm_slope` in the ReLUs, and the first BatchNorm's division by
    the variance of x over the batch. As x grows the branch counts for less and less:
    the gradient grows as a power of depth, not exponentially. Units are followed one by
    one, as in `resnet_gradient_profile`.

    Args:
        blocks: Residual blocks L.
        layers: Layers with weights in each branch.

    Returns:
        `(L + 1,)` nats in float64 for `dL/dx_l`, the last is 0; right to about 0.02.

    Raises:
        ValueError: If `blocks` or `layers` is below 1.

    Example:
        >>> batch_norm_resnet_profile(3).round(1)
        array([1.3, 0.7, 0.3, 0. ])

    Source: the block of He et al. 2015, "Deep Residual Learning for Image Recognition";
    De and Smith 2020, "Batch Normalization Biases Residual Blocks Towards the Identity
    Function in Deep Networks", for the growth of x; Yang et al. 2019, "A Mean Field
    Theory of Batch Normalization", for the factor of a layer.
    """
    _check_layers(layers)
    gain = np.exp(2 * batch_norm_slope(jax.nn.relu) * (layers - 1))
    return _followed(lambda x: (x, 1.0, float(gain / np.var(x))), blocks)


def _check_layers(layers: int) -> None:
    if layers < 1:
        raise ValueError(f"`layers` is {layers}; wanted 1 or more, such as 2.")


def _followed(
    block: Callable[[np.ndarray], tuple[np.ndarray, float, float]], blocks: int
) -> np.ndarray:
    """Follow units forwards through all blocks and squared gradients back.

    Args:
        block: Takes the units that enter a block; returns them scaled, the variance
            that the branch adds to each, and its factor of the squared gradient.
        blocks: How many blocks.
    """
    generator = np.random.default_rng(0)
    x = np.maximum(generator.normal(size=UNITS), 0.0)
    met = []
    for _ in range(positive(blocks)):
        x, added, kappa = block(x)
        u = x + np.sqrt(added) * generator.normal(size=UNITS)
        met.append((u > 0, kappa))
        x = np.maximum(u, 0.0)
    logs, squared = np.zeros(blocks + 1), np.ones(UNITS)
    for index in range(blocks - 1, -1, -1):
        passes, kappa = met[index]
        arrived = passes * squared
        squared = arrived + kappa * np.mean(arrived)
        factor = np.mean(squared)
        squared = squared / factor
        logs[index] = logs[index + 1] + 0.5 * np.log(factor)
    return logs
