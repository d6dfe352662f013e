"""Theory: nine claims on how gradients flow at initialisation, measured.

Nothing is trained. Each arm is one claim: a network is drawn for each seed and
measured, and what the literature predicts stands beside it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxnets.records import Record
from jaxnets.studies import theory_depth, theory_phase, theory_time
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder
from jaxnets.studies.claims import Measurement, Networks
from jaxnets.studies.theory_depth import DepthSizes
from jaxnets.studies.theory_time import TimeSizes


class TheorySettings(NamedTuple):
    """How large the networks of the study are."""

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
    "All networks: independent Gaussian or random orthogonal weights at the gains that "
    "each claim names; biases zero, except for claim 2 and the forget "
    "gate of claim 7."
)
NOTES = (
    "Nothing is trained here, and no verdict is drawn: each claim stands with its "
    "prediction.",
    "Most predictions are limits of wide layers. Narrow networks scatter around them, "
    "by as much as claim 9 says.",
)
Claim = tuple[str, Callable[[TheorySettings, Networks], Measurement]]
CLAIMS: dict[str, Claim] = {
    "he": (
        "initialiser",
        lambda s, seeds: theory_depth.initialiser_scale(s.depth, seeds),
    ),
    "chi": ("chi_1", lambda s, seeds: theory_phase.chi_slope(s.depth, seeds)),
    "residual": (
        "residual growth",
        lambda s, seeds: theory_depth.residual_growth(s.depth, seeds),
    ),
    "shattering": (
        "shattering",
        lambda s, seeds: theory_depth.shattering(s.depth, seeds),
    ),
    "path": ("path length", lambda s, seeds: theory_depth.path_length(s.depth, seeds)),
    "rnn": ("RNN", lambda s, seeds: theory_time.rnn(s.time, seeds)),
    "forget": ("forget bias", lambda s, seeds: theory_time.forget_bias(s.time, seeds)),
    "lyapunov": ("Lyapunov", lambda s, seeds: theory_time.lyapunov(s.time, seeds)),
    "width": (
        "finite width",
        lambda s, seeds: theory_depth.norm_variance(s.depth, seeds),
    ),
}


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: the claims, in the order of their numbers."""
    del dataset
    return [
        Arm("theory", name, family, number, {"scale": scale})
        for number, (name, (family, _)) in enumerate(CLAIMS.items(), 1)
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Draw and measure the networks of a claim for all seeds."""
    del on_epoch
    networks = Networks(seeds)
    _, measure = CLAIMS[arm.name]
    points, parameters = measure(SCALES[arm.settings["scale"]], networks)
    records = []
    for point in points:
        # A claim has several lines and places; the records name them as arms do.
        place = arm._replace(family=point.family, size=point.x)
        predicted = np.atleast_1d(point.predicted)
        ours = Recorder(place, seeds)
        theirs = Recorder(place, seeds if len(predicted) > 1 else (-1,))
        ours.scalar("claim", point.measured, step=0)
        theirs.scalar("predicted_claim", predicted, step=0)
        records += ours.records + theirs.records
    if arm.name == "chi":
        records += _phase_plane(arm)
    return Outcome(records, parameters, networks.compile_seconds)


def _phase_plane(arm: Arm) -> list[Record]:
    """Record where the networks of claim 2 and the critical line stand."""
    records = []
    for family, x, *variances in theory_phase.phase_plane():
        recorder = Recorder(arm._replace(family=family, size=x), (-1,))
        for metric, variance in zip(
            ("weight_variance", "bias_variance"), variances, strict=True
        ):
            recorder.scalar(metric, [variance], step=0)
        records += recorder.records
    return records
