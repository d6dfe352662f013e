"""Slopes of the direct path through gates that vary."""

from typing import NamedTuple

import numpy as np

from jaxnets.gradflow.theory.mean_field import DENSITY, NODES, Real, check_not_negative


class GateSlopes(NamedTuple):
    """Three slopes of the direct path through a gate, in nats per step.

    By Jensen's inequality `typical <= mean <= mean_square`.

    Attributes:
        typical: `E[log f]`, what the logarithm of a single unit's gradient loses.
        mean: `log E[f]`, that of the mean gradient over units and sequences.
        mean_square: `1/2 log E[f^2]`, that of the Euclidean norm over many units.
    """

    typical: float
    mean: float
    mean_square: float


def gate_slopes(bias: Real, variance: Real = 0.0) -> GateSlopes:
    """Return the slopes of the direct path through a gate that varies.

    For a gate `f = sigmoid(a)`, a Gaussian with mean `bias` and variance `variance`,
    drawn anew in each unit and step: the product of T gates falls as

        exp(T E[log f])       in one unit,
        E[f]^T                in the mean,
        E[f^2]^(T / 2)        in the norm over many units.

    They agree for a gate that does not vary, and spread with its variance: what is
    remembered on average is carried by few units. Gates that differ between units but
    not in time decay slower still, at last as the largest of them.

    Args:
        bias: Mean pre-activation of the gate.
        variance: Its variance over units and steps: of `W_xh x_t + W_hh h_{t-1}`.

    Returns:
        `GateSlopes(typical, mean, mean_square)`, all below 0.

    Raises:
        ValueError: If `variance` is negative or not finite.

    Example:
        >>> [round(slope, 3) for slope in gate_slopes(1.0)]
        [-0.313, -0.313, -0.313]
        >>> [round(slope, 3) for slope in gate_slopes(1.0, 4.0)]
        [-0.642, -0.434, -0.339]

    Source: the same averages as the mean-field theory of gates in Chen, Pennington and
    Schoenholz 2018, "Dynamical Isometry and a Mean Field Theory of RNNs"; Jozefowicz,
    Zaremba and Sutskever 2015 for the bias.
    """
    check_not_negative(variance=variance)
    log_f = -np.logaddexp(0.0, -(bias + np.sqrt(variance) * NODES))
    mean_power = lambda k: np.log(np.sum(DENSITY * np.exp(k * log_f)))
    return GateSlopes(
        typical=float(np.sum(DENSITY * log_f)),
        mean=float(mean_power(1)),
        mean_square=float(mean_power(2) / 2),
    )
