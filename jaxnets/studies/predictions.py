"""Records of the line that theory predicts for a gradient, and of its band."""

from collections.abc import Sequence

import numpy as np

from jaxnets.gradflow import theory
from jaxnets.studies.arm import Recorder


# 95 % of a Gaussian lie within this many standard deviations of its mean.
STANDARD_DEVIATIONS = 1.96


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
