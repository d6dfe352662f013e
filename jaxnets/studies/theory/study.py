"""Theory: ten claims of the literature on how gradients flow at initialisation.

Nothing is trained. Each arm is one claim: a network is drawn and measured for each
seed, and the result is recorded together with the prediction.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxnets.runs.claims import CLAIMS
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder
from jaxnets.studies.theory import depth as theory_depth
from jaxnets.studies.theory import phase as theory_phase
from jaxnets.studies.theory import time as theory_time
from jaxnets.studies.theory.depth import DepthSizes
from jaxnets.studies.theory.points import Measurement, Networks
from jaxnets.studies.theory.time import TimeSizes


class TheorySettings(NamedTuple):
    """The sizes of the networks of the study."""

    depth: DepthSizes
    time: TimeSizes


SCALES = {
    "smoke": TheorySettings(
        DepthSizes(32, 8, 12, 12, (1, 2, 4), 6, ((16, 4),), 20),
        TimeSizes(16, 20, 40),
    ),
    "laptop": TheorySettings(
        DepthSizes(
            width=300,
            layers=30,
            settled=60,
            deep=200,
            shattered=(1, 2, 4, 8, 16, 32),
            blocks=54,
            narrow=((100, 20), (20, 20), (20, 80)),
            networks=300,
        ),
        TimeSizes(hidden=128, steps=100, long=400),
    ),
    "hour": TheorySettings(
        DepthSizes(
            width=600,
            layers=60,
            settled=100,
            deep=400,
            shattered=(1, 2, 4, 8, 16, 32),
            blocks=54,
            narrow=((200, 20), (100, 20), (20, 20), (20, 80)),
            networks=1000,
        ),
        TimeSizes(hidden=256, steps=200, long=1000),
    ),
    "accelerator": TheorySettings(
        DepthSizes(
            width=1000,
            layers=60,
            settled=100,
            deep=400,
            shattered=(1, 2, 4, 8, 16, 32),
            blocks=54,
            narrow=((200, 20), (100, 20), (20, 20), (20, 80)),
            networks=2000,
        ),
        TimeSizes(hidden=512, steps=200, long=2000),
    ),
}
INITIALISER = (
    "All networks: independent Gaussian or random orthogonal weights, with the gains "
    "that each claim names; biases zero, except in claim 2 and in the forget gate of "
    "claim 7."
)
NOTES = (
    "Nothing is trained here. A claim is met at a point if the mean over seeds lies "
    "within the claim's tolerance of the prediction, or if the prediction lies in the "
    "95 % interval over seeds.",
    "Most predictions are limits of wide layers. Narrow networks scatter around them "
    "by as much as claim 9 says.",
)


# How each claim is measured; everything else about it is in `jaxnets.runs.claims`.
MEASUREMENTS: dict[str, Callable[[TheorySettings, Networks], Measurement]] = {
    "he": lambda s, networks: theory_depth.initialiser_scale(s.depth, networks),
    "chi": lambda s, networks: theory_phase.chi_slope(s.depth, networks),
    "residual": lambda s, networks: theory_depth.residual_growth(s.depth, networks),
    "shattering": lambda s, networks: theory_depth.shattering(s.depth, networks),
    "path": lambda s, networks: theory_depth.path_length(s.depth, networks),
    "rnn": lambda s, networks: theory_time.rnn(s.time, networks),
    "forget": lambda s, networks: theory_time.forget_bias(s.time, networks),
    "lyapunov": lambda s, networks: theory_time.lyapunov(s.time, networks),
    "width": lambda s, networks: theory_depth.norm_variance(s.depth, networks),
    "memory": lambda s, networks: theory_time.curse_of_memory(s.time, networks),
}


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: the claims, in the order of their numbers."""
    del dataset
    return [
        Arm("theory", name, claim.name, number, {"scale": scale})
        for number, (name, claim) in enumerate(CLAIMS.items(), 1)
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Draw and measure the networks of a claim for all seeds."""
    del on_epoch
    networks = Networks(seeds)
    points, parameters = MEASUREMENTS[arm.name](SCALES[arm.settings["scale"]], networks)
    records = []
    for point in points:
        # The records of a point have its line as their family and its x as their size.
        of_point = arm._replace(family=point.family, size=point.x)
        predicted = np.atleast_1d(point.predicted)
        ours = Recorder(of_point, seeds)
        theirs = Recorder(of_point, seeds if len(predicted) > 1 else (-1,))
        ours.scalar("claim", point.measured, step=0)
        theirs.scalar("predicted_claim", predicted, step=0)
        records += ours.records + theirs.records
        if point.refined is not None:
            refined = Recorder(of_point, (-1,))
            refined.scalar("refined_claim", [point.refined], step=0)
            records += refined.records
    if arm.name == "chi":
        records += theory_phase.phase_plane(arm)
    return Outcome(records, parameters, networks.compile_seconds)
