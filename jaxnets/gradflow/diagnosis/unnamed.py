"""Verdicts on flat layers of a network whose activations are not known by name."""

import math
from collections import defaultdict

from jaxnets.gradflow.diagnosis.models.chains import role
from jaxnets.gradflow.diagnosis.studies.saturation import (
    HALF,
    OTHER_CAUSES,
    RELU_SHARE,
    SHARE_REASON,
    mean_share,
)
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select, verdict_on
from jaxnets.runs.estimates import Estimate
from jaxnets.runs.formatting import format_percent
from jaxnets.runs.records import Record


ZERO_CAUSE = (
    "A layer without a bias that gets only zeros gives zeros: then the layer before it "
    "is the one to change. The last layer of a residual branch may start at zero on "
    "purpose."
)
# By metric: the threshold, what the share is a share of, and what to do.
KINDS = {
    "saturated_share": (
        HALF,
        "are saturated: there the activation is flat and passes almost no gradient",
        "Lower the gain of the initialiser, normalise each layer, or use ReLU.",
    ),
    "zero_share": (
        RELU_SHARE,
        "are exactly zero: there ReLU passes no gradient",
        "Start biases at zero or above, use He's initialiser, lower the learning rate, "
        "or normalise each layer.",
    ),
}


def unnamed_verdict(records: list[Record], *, study: str, where: str) -> Verdict | None:
    """Judge the shares of saturated and of zero outputs at every tap.

    Args:
        records: Records of one network at one training step.
        study: The study of the verdict.
        where: What is judged.

    Returns:
        A verdict on the first tap beyond a threshold, or None if there is none.
    """
    for metric, (threshold, what, remedy) in KINDS.items():
        found = select(records, metric=metric)
        shares = _by_tap(found)
        if metric == "zero_share":
            shares = _without_zero_starts(shares, records)
        flat = [t for t, share in shares.items() if share.interval[0] >= threshold]
        if not flat:
            continue
        tap, share = flat[0], shares[flat[0]]
        more = f" This holds at {len(flat)} of {len(shares)} taps." * (len(flat) > 1)
        # No gradient will ever pass through a layer whose outputs are all zero.
        dead = metric == "zero_share" and share.interval[0] == 1
        return verdict_on(
            "dead" if dead else "saturated",
            share,
            where=f"{where}, {moment(found[0].step)}, {tap}",
            sentence=(
                f"At {tap} {format_percent(share, ' % of the outputs')} {what}.{more}"
            ),
            remedy=remedy,
            threshold=threshold,
            study=study,
            reason=SHARE_REASON,
            other_cause=(
                ZERO_CAUSE if metric == "zero_share" else OTHER_CAUSES["saturated"]
            ),
        )
    return None


def _by_tap(records: list[Record]) -> dict[str, Estimate]:
    """Return the mean share at each tap, over its time steps, then over seeds."""
    taps = dict.fromkeys(record.place for record in records)
    shares = {tap: mean_share(select(records, place=tap)) for tap in taps}
    return {tap: share for tap, share in shares.items() if share}


def _without_zero_starts(
    shares: dict[str, Estimate], records: list[Record]
) -> dict[str, Estimate]:
    """Leave out taps that are zero in every block, if the gradient gets around them.

    The branches of residual blocks may start at zero. A dead tap without a shortcut
    around it passes no gradient to the taps before it.
    """
    roles: defaultdict[str, list[str]] = defaultdict(list)
    for tap in shares:
        roles[role(tap)].append(tap)
    # Taps that come after one that a gradient reaches.
    passed, arrives = set(), False
    norms = select(records, metric="log10_gradient_norm")
    for tap in dict.fromkeys(record.place for record in norms):
        if arrives:
            passed.add(tap)
        found = select(norms, place=tap)
        arrives = arrives or any(math.isfinite(record.value) for record in found)
    started = {
        tap
        for taps in roles.values()
        if all(shares[tap].interval[0] == 1 for tap in taps)
        and passed.intersection(taps)
        for tap in taps
    }
    return {tap: share for tap, share in shares.items() if tap not in started}
