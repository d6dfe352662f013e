"""Theory's line of a gradient as records, with its band where it has one."""

from collections.abc import Sequence

import numpy as np

from jaxnets.gradflow import theory
from jaxnets.studies.arm import Recorder


# Standard deviations on both sides that hold 95 % of a Gaussian.
STANDARD_DEVIATIONS = 1.96


def record_prediction(
    recorder: Recorder,
    profile,
    measured,
    *,
    places: Sequence[str],
    spreads: Sequence[theory.Spread] = (),
) -> None:
    """Record theory's line, which starts where the measured one ends, and its band.

    The band is where the mean of so many networks lies in 95 of 100 runs, by
    `theory.finite_width_spread`. That is of the gradient at one input. Of a batch the
    mean gradient scatters less and lies higher, the nearer to the wide limit the less
    alike its inputs are; so the band reaches from the lower end of one input's to the
    upper end around the wide limit.

    Args:
        recorder: Of the arm.
        profile: `(places,)` log of the norm, nats relative to the last place.
        measured: `(seeds, places)` log10 of the norms.
        places: Names of the layers, blocks or steps.
        spreads: Of the squared norm between each place and the last; empty for a line
            without a band.
    """
    measured = np.asarray(measured)
    line = measured[:, -1].mean() + np.asarray(profile) / np.log(10)
    recorder.prediction("predicted_log10_gradient_norm", line, places=places)
    if not spreads:
        return
    # Halved, because they are those of the squared norm.
    shift = np.array([spread.mean for spread in spreads]) / 2
    std = np.array([spread.std for spread in spreads]) / 2
    half = STANDARD_DEVIATIONS * std / len(measured) ** 0.5
    low, high = line + (shift - half) / np.log(10), line + half / np.log(10)
    recorder.prediction("predicted_low_log10_gradient_norm", low, places=places)
    recorder.prediction("predicted_high_log10_gradient_norm", high, places=places)
