"""Theory: nine claims of the literature on how gradients flow at initialisation.

Nothing is trained. Each arm is one claim: a network is drawn and measured for each
seed, and the result is recorded together with the prediction.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

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


class Claim(NamedTuple):
    """A claim of the literature, and the tolerance within which it is met.

    Attributes:
        family: Name of the family of its arm.
        statement: The claim in a sentence.
        measure: The function that draws and measures its networks.
        varied: What the networks of a line differ in, as in `at gain 2`.
        unit: Unit of the measured numbers; empty if they have none.
        tolerance: How far a mean over seeds may lie from the prediction.
        relative: The same relative to the prediction; the larger of both is used.
        refinement: What the refined prediction takes into account; empty if there is
            none.
    """

    family: str
    statement: str
    measure: Callable[[TheorySettings, Networks], Measurement]
    varied: str
    unit: str
    tolerance: float
    relative: float = 0.0
    refinement: str = ""


CLAIMS = {
    "he": Claim(
        "initialiser",
        "With He's initialiser ReLU layers keep the signal and the gradient; with "
        "variance 1/n they lose a factor of 1.41 a layer.",
        lambda s, seeds: theory_depth.initialiser_scale(s.depth, seeds),
        "layer",
        "decades",
        0.13,
    ),
    "chi": Claim(
        "chi_1",
        "In tanh networks a squared gradient changes by the factor chi_1 a layer.",
        lambda s, seeds: theory_phase.chi_slope(s.depth, seeds),
        "gain",
        "nats a layer",
        0.03,
    ),
    "residual": Claim(
        "residual growth",
        "The gradient of plain tanh networks falls exponentially with depth, that of "
        "residual ones grows slower than any exponential.",
        lambda s, seeds: theory_depth.residual_growth(s.depth, seeds),
        "layer",
        "nats",
        0.3,
        0.15,
    ),
    "shattering": Claim(
        "shattering",
        "The gradients of two inputs have the correlation 1/2^L in plain networks, and "
        "0.75/sqrt(L) in residual ones.",
        lambda s, seeds: theory_depth.shattering(s.depth, seeds),
        "depth",
        "",
        0.02,
        refinement="counting block by block, and without the mean of ReLU that "
        "BatchNorm takes away",
    ),
    "path": Claim(
        "path length",
        "The gradient of n residual blocks of strength eps passes n eps / (1 + eps) "
        "branches, or n eps^2 / (1 + eps^2) where random branches cancel.",
        lambda s, seeds: theory_depth.path_length(s.depth, seeds),
        "strength",
        "branches",
        0.5,
    ),
    "rnn": Claim(
        "RNN",
        "The gradient of an RNN changes by log g a step at rest, and by less where "
        "input pushes its units into saturation.",
        lambda s, seeds: theory_time.rnn(s.time, seeds),
        "gain",
        "nats a step",
        0.005,
    ),
    "forget": Claim(
        "forget bias",
        "The direct path through an LSTM's cell keeps log sigmoid(b) a step.",
        lambda s, seeds: theory_time.forget_bias(s.time, seeds),
        "bias",
        "nats a step",
        0.01,
    ),
    "lyapunov": Claim(
        "Lyapunov",
        "The gradient of a random RNN grows at its largest Lyapunov exponent, which "
        "passes 0 at a gain of 1.",
        lambda s, seeds: theory_time.lyapunov(s.time, seeds),
        "gain",
        "nats a step",
        0.01,
    ),
    "width": Claim(
        "finite width",
        "The logarithm of a squared gradient scatters over ReLU networks with variance "
        "5 sum 1/n.",
        lambda s, seeds: theory_depth.norm_variance(s.depth, seeds),
        "5 sum 1/n =",
        "nats squared",
        0.0,
        0.1,
        refinement="beyond the leading order in 1/n",
    ),
}


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: the claims, in the order of their numbers."""
    del dataset
    return [
        Arm("theory", name, claim.family, number, {"scale": scale})
        for number, (name, claim) in enumerate(CLAIMS.items(), 1)
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Draw and measure the networks of a claim for all seeds."""
    del on_epoch
    networks = Networks(seeds)
    points, parameters = CLAIMS[arm.name].measure(
        SCALES[arm.settings["scale"]], networks
    )
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
