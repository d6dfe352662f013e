"""How alike the gradients of different inputs stay in a residual network."""

import numpy as np

from jaxnets.gradflow.theory.mean_field import Real, check_not_negative
from jaxnets.gradflow.theory.profiles import positive


def residual_gradient_correlation(
    blocks: int, *, weight_variance: Real = 2.0, variance: Real = 1.0
) -> np.ndarray:
    r"""Return the correlation of two inputs' gradients in networks of 1 to L blocks.

    For blocks `x_{l+1} = x_l + W relu(BatchNorm(x_l))` at unrelated inputs, with the
    statistics of BatchNorm held fixed on the way back. Over the shortcut the gradients
    of both inputs pass alike, through the branch half of the units of one are off where
    the other's are on. With `v_l` the variance of x_l over inputs and that of ReLU at a
    standard normal, `(1 - 1/pi) / 2`,

        v_{l+1} = v_l + weight_variance * (1 - 1/pi) / 2,
        a_l     = weight_variance / (2 v_l),
        rho_L   = prod_{l < L} (1 + a_l / 2) / (1 + a_l).

    One block from v = 1 has 3/4. Balduzzi et al. let a branch add its mean square
    instead of its variance, for which `rho_L` falls as `1 / sqrt(L)`; but BatchNorm
    takes the mean of ReLU away, so branches keep more weight and `rho_L` falls in the
    end as `L^(-pi / (2 pi - 2)) = L^-0.73`.

    Args:
        blocks: Residual blocks L of the deepest network.
        weight_variance: Fan-in times the variance of W.
        variance: Variance v_0 of the input over inputs.

    Returns:
        `(L,)` in float64, rho_1 to rho_L.

    Raises:
        ValueError: If `weight_variance` is negative or not finite, `variance` is not
            above 0, or `blocks` < 1.

    Example:
        >>> residual_gradient_correlation(32)[[0, 3, 31]].round(3)
        array([0.75 , 0.455, 0.128])

    Source: Balduzzi et al. 2017, "The Shattered Gradients Problem: If resnets are the
    answer, then what is the question?", for the recursion.
    """
    check_not_negative(weight_variance=weight_variance, variance=variance)
    if variance == 0.0:
        raise ValueError("`variance` is 0; wanted the variance of the inputs, above 0.")
    entered = np.arange(positive(blocks))
    added = weight_variance * (1 - 1 / np.pi) / 2
    a = weight_variance / (2 * (variance + added * entered))
    return np.cumprod((1 + a / 2) / (1 + a))
