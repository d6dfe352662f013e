"""The edge of chaos: where gradients neither vanish nor explode."""

import numpy as np

from jaxnets.gradflow.theory.mean_field import (
    Activation,
    Real,
    check_not_negative,
    chi_1,
    length_map,
)


# For larger lengths the nodes of the integrals do not resolve a tanh.
LARGEST_LENGTH = 1e4
SMALLEST_LENGTH = 1e-12


def critical_line(activation: Activation, bias_variance: Real) -> float:
    """Return the weight variance at which gradients neither vanish nor explode.

    It is the `weight_variance` for which `chi_1 = 1` at the fixed point q*. At q = q*

        weight_variance = 1 / E[activation'(sqrt(q) z)^2],
        bias_variance   = q - weight_variance * E[activation(sqrt(q) z)^2],

    and the second equation is solved for q by bisection. For ReLU and other piecewise
    linear functions through zero, `chi_1` is the same at every length, so there is one
    critical value, for ReLU He's 2. If the bias variance is above 0, lengths then grow
    by it in every layer and have no fixed point.

    A step function has no critical line: its derivative is zero almost everywhere, so
    `chi_1` is 0 for all weights, and gradients vanish in the first layer.

    Args:
        activation: Elementwise JAX function.
        bias_variance: Variance of a bias.

    Returns:
        The weight variance: the fan-in times the variance of a weight.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If `bias_variance` is negative, or no weight variance is critical.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow.theory import critical_line
        >>> round(critical_line(jax.nn.relu, 0.0), 6)
        2.0
        >>> [round(critical_line(jnp.tanh, b), 3) for b in (0.0, 0.05)]
        [1.0, 1.761]

    Source: Schoenholz et al. 2017, "Deep Information Propagation", section 3 and
    figure 1; Pennington, Schoenholz and Ganguli 2017, "Resurrecting the sigmoid in deep
    learning through dynamical isometry", for the line as a curve over q*.
    """
    check_not_negative(bias_variance=bias_variance)

    def slope(q):
        return chi_1(activation, weight_variance=1.0, bias_variance=0.0, q=q)

    def excess(q):
        """The bias variance with which q is critical, minus the given one."""
        square = length_map(activation, q, weight_variance=1.0, bias_variance=0.0)
        with np.errstate(divide="ignore"):
            return q - np.divide(square, slope(q)) - bias_variance

    if slope(1.0) == 0.0:
        raise ValueError(
            "`activation` has a derivative of zero almost everywhere, like a step "
            "function, so chi_1 is 0 for every weight variance and no gradient passes. "
            "Use tanh, a sigmoid or ReLU."
        )
    if np.isclose(slope(1e-2), slope(1e2), rtol=1e-9, atol=0.0):
        return 1.0 / slope(1.0)
    low, high = SMALLEST_LENGTH, LARGEST_LENGTH
    if excess(high) < 0.0:
        raise ValueError(
            f"`bias_variance` is {bias_variance}; with this `activation` no weight "
            f"variance is critical at lengths up to {LARGEST_LENGTH:g}. Lower "
            "`bias_variance`."
        )
    if excess(low) >= 0.0:
        return 1.0 / slope(low)
    while high / low > 1.0 + 1e-12:
        middle = np.sqrt(low * high)
        low, high = (middle, high) if excess(middle) < 0.0 else (low, middle)
    return 1.0 / slope(high)
