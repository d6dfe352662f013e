"""Records of the plane of weight and bias variances, with its critical line."""

import functools

import numpy as np

from jaxnets.gradflow import theory
from jaxnets.gradflow.theory.mean_field import Activation
from jaxnets.runs.records import Record
from jaxnets.studies.arm import Arm, Recorder


# Points of the critical line. They are denser near 0, where the line bends.
BIAS_VARIANCES = tuple((0.375 * np.linspace(0, 1, 10) ** 2).tolist())


def variance_records(
    arm: Arm, weight_variance: float, bias_variance: float
) -> list[Record]:
    """Return the records of the point of a network in the plane.

    Args:
        arm: Its family and size name the network.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.
    """
    recorder = Recorder(arm, (-1,))
    recorder.scalar("weight_variance", [weight_variance], step=0)
    recorder.scalar("bias_variance", [bias_variance], step=0)
    return recorder.records


def critical_line_records(arm: Arm, activation: Activation) -> list[Record]:
    """Return the records of the line where chi_1 is 1, point by point."""
    recorder = Recorder(arm, (-1,))
    critical = _critical_line(activation)
    places = [f"bias variance {b:.3g}" for b in BIAS_VARIANCES]
    recorder.prediction("critical_weight_variance", critical, places=places)
    recorder.prediction("critical_bias_variance", BIAS_VARIANCES, places=places)
    return recorder.records


@functools.cache
def _critical_line(activation: Activation) -> list[float]:
    """Return the weight variances of the line. It depends on the activation only."""
    return [theory.critical_line(activation, b) for b in BIAS_VARIANCES]
