"""Records of what theory predicts: the line of a gradient, and the critical line."""

import functools
from collections.abc import Sequence

import numpy as np

from jaxnets.gradflow import theory
from jaxnets.gradflow.theory.mean_field import Activation
from jaxnets.runs.records import Record
from jaxnets.studies.arm import Arm, Recorder


# 95 % of a Gaussian lie within this many standard deviations of its mean.
STANDARD_DEVIATIONS = 1.96
# Points of the critical line. They are denser near 0, where the line bends.
BIAS_VARIANCES = tuple((0.375 * np.linspace(0, 1, 10) ** 2).tolist())


def record_prediction(
    recorder: Recorder,
    profile,
    measured,
    *,
    places: Sequence[str],
    spreads: Sequence[theory.Spread] = (),
) -> None:
    """Record the line that theory predicts, and its band if it has one.

    The line is shifted so that it agrees with the mean of the measured lines at the
    last position.

    According to `theory.finite_width_spread`, the mean of this number of networks lies
    in the band in 95 of 100 runs. That law is for the gradient at a single input. The
    mean gradient of a batch scatters less and lies higher: the less alike its inputs
    are, the nearer it is to the limit of wide layers. So the band reaches from the
    lower end for a single input to the upper end around the wide limit.

    Args:
        recorder: Recorder of the arm.
        profile: `(positions,)` log of the norm, in nats relative to the last position.
        measured: `(seeds, positions)` log10 of the norms.
        places: Names of the layers, blocks or steps, one for each position.
        spreads: Spreads of the squared norm between each position and the last; empty
            for a line without a band.
    """
    measured = np.asarray(measured)
    line = measured[:, -1].mean() + np.asarray(profile) / np.log(10)
    recorder.prediction("predicted_log10_gradient_norm", line, places=places)
    if not spreads:
        return
    # Halved, because the spreads are those of the squared norm.
    shift = np.array([spread.mean for spread in spreads]) / 2
    std = np.array([spread.std for spread in spreads]) / 2
    half = STANDARD_DEVIATIONS * std / len(measured) ** 0.5
    low, high = line + (shift - half) / np.log(10), line + half / np.log(10)
    recorder.prediction("predicted_low_log10_gradient_norm", low, places=places)
    recorder.prediction("predicted_high_log10_gradient_norm", high, places=places)


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
