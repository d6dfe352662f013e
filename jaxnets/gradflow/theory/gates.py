"""Slopes of the direct path through gates that fluctuate."""

from typing import NamedTuple

import numpy as np

from jaxnets.gradflow.theory.mean_field import (
    DENSITY,
    NODES,
    Real,
    check_finite,
    check_not_negative,
)


class GateSlopes(NamedTuple):
    """Slopes of the direct path through a gate f, in nats per step.

    By Jensen's inequality `typical <= mean <= mean_square`.

    Attributes:
        typical: `E[log f]`, for the gradient of a single unit.
        mean: `log E[f]`, for the mean gradient over units and sequences.
        mean_square: `1/2 log E[f^2]`, for the Euclidean norm over many units.
    """

    typical: float
    mean: float
    mean_square: float


def gate_slopes(bias: Real, variance: Real = 0.0) -> GateSlopes:
    """Return the slopes of the direct path through a gate that fluctuates.

    The gate is `f = sigmoid(a)`, where a is Gaussian with mean `bias` and variance
    `variance`, independent for each unit and step. The product of T gates decays as

        exp(T E[log f])       in one unit,
        E[f]^T                in the mean,
        E[f^2]^(T / 2)        in the norm over many units.

    The three agree for a constant gate and differ more with larger variance: then few
    units carry most of the memory. Gates that differ between units but are constant in
    time decay more slowly, in the end as the largest of them.

    Args:
        bias: Mean of the gate's pre-activation.
        variance: Variance of the pre-activation over units and steps, that of
            `W_xh x_t + W_hh h_{t-1}`.

    Returns:
        `GateSlopes(typical, mean, mean_square)`, all below 0.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If `bias` is not finite, or `variance` is negative or not finite.

    Example:
        >>> from jaxnets.gradflow.theory import gate_slopes
        >>> [round(slope, 3) for slope in gate_slopes(1.0)]
        [-0.313, -0.313, -0.313]
        >>> [round(slope, 3) for slope in gate_slopes(1.0, 4.0)]
        [-0.642, -0.434, -0.339]

    Source: Chen, Pennington and Schoenholz 2018, "Dynamical Isometry and a Mean Field
    Theory of RNNs", for these averages; Jozefowicz, Zaremba and Sutskever 2015, "An
    Empirical Exploration of Recurrent Network Architectures", for the bias.
    """
    check_finite("bias", bias)
    check_not_negative(variance=variance)
    log_f = -np.logaddexp(0.0, -(bias + np.sqrt(variance) * NODES))
    mean_power = lambda k: np.log(np.sum(DENSITY * np.exp(k * log_f)))
    return GateSlopes(
        typical=float(np.sum(DENSITY * log_f)),
        mean=float(mean_power(1)),
        mean_square=float(mean_power(2) / 2),
    )
