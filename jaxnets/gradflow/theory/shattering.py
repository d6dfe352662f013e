"""The correlation of the gradients of different inputs in a residual network."""

import numpy as np

from jaxnets.arguments import as_count
from jaxnets.gradflow.theory.mean_field import Real, check_not_negative


def residual_gradient_correlation(
    blocks: int, *, weight_variance: Real = 2.0, variance: Real = 1.0
) -> np.ndarray:
    r"""Return the correlation of two inputs' gradients in networks of 1 to L blocks.

    The blocks are `x_{l+1} = x_l + W relu(BatchNorm(x_l))`, the inputs are independent,
    and the statistics of BatchNorm are constants in the backward pass. The shortcut
    passes the gradients of both inputs in the same way. In the branch, half of the
    units that are active for one input are inactive for the other. With `v_l` the
    variance of x_l over inputs, and `(1 - 1/pi) / 2` that of ReLU of a standard normal,

        v_{l+1} = v_l + weight_variance * (1 - 1/pi) / 2,
        a_l     = weight_variance / (2 v_l),
        rho_L   = prod_{l < L} (1 + a_l / 2) / (1 + a_l).

    For one block and v_0 = 1 the correlation is 3/4. In Balduzzi et al. a branch adds
    its mean square to v instead of its variance, and `rho_L` decays as `1 / sqrt(L)`.
    But BatchNorm subtracts the mean of ReLU, so v grows more slowly, branches keep more
    weight, and `rho_L` decays as `L^(-pi / (2 pi - 2)) = L^-0.73` for large L.

    Args:
        blocks: Number of residual blocks L of the deepest network.
        weight_variance: Fan-in times the variance of W.
        variance: Variance v_0 of a network input over inputs.

    Returns:
        `(L,)` in float64, rho_1 to rho_L.

    Raises:
        TypeError: If an argument is not a number, or a count not an int.
        ValueError: If `weight_variance` is negative or not finite, `variance` is not
            above 0, or `blocks` is below 1.

    Example:
        >>> from jaxnets.gradflow.theory import residual_gradient_correlation
        >>> residual_gradient_correlation(32)[[0, 3, 31]].round(3)
        array([0.75 , 0.455, 0.128])

    Source: Balduzzi et al. 2017, "The Shattered Gradients Problem: If resnets are the
    answer, then what is the question?", for the recursion.
    """
    check_not_negative(weight_variance=weight_variance, variance=variance)
    if variance == 0.0:
        raise ValueError("`variance` is 0; wanted the variance of the inputs, above 0.")
    block = np.arange(as_count(blocks, "blocks"))
    added = weight_variance * (1 - 1 / np.pi) / 2
    a = weight_variance / (2 * (variance + added * block))
    return np.cumprod((1 + a / 2) / (1 + a))
