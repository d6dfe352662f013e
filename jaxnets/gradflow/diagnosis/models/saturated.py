"""Verdicts on layers of a measured network that are flat at most inputs."""

import math
from collections import defaultdict

from jaxnets.gradflow.diagnosis.chains import role
from jaxnets.gradflow.diagnosis.studies.saturation import (
    HALF,
    OTHER_CAUSES,
    RELU_SHARE,
    SHARE_REASON,
    mean_share,
)
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.runs.estimates import Estimate
from jaxnets.runs.formatting import format_estimate
from jaxnets.runs.records import Record


ZERO_CAUSE = (
    "What gets zeros only and has no bias gives zeros: then the layer before it is the "
    "one to mend. The last layer of a residual branch may start at zero on purpose."
)
# By metric: from which share on, what it is a share of, and what to do.
KINDS = {
    "saturated_share": (
        HALF,
        "are saturated: there the activation is flat and passes next to nothing back",
        "Lower the gain of the initialiser, normalise each layer, or use ReLU.",
    ),
    "zero_share": (
        RELU_SHARE,
        "are exactly zero: there ReLU passes nothing back",
        "Start biases at zero or above, use He's initialiser, lower the learning rate, "
        "or normalise each layer.",
    ),
}


def saturated_verdict(
    records: list[Record], *, study: str, where: str
) -> Verdict | None:
    """Judge the shares at one step; None where no layer is beyond its threshold."""
    for metric, (threshold, what, remedy) in KINDS.items():
        found = select(records, metric=metric)
        shares = _by_place(found)
        if metric == "zero_share":
            shares = _without_zero_starts(shares, records)
        flat = [
            (place, share)
            for place, share in shares.items()
            if share.interval[0] >= threshold
        ]
        if not flat:
            continue
        place, share = flat[0]
        percent = format_estimate(
            share, lambda s: f"{100 * s:.3g}", " % of the outputs"
        )
        more = f" So it is at {len(flat)} of {len(shares)} taps." * (len(flat) > 1)
        # Nothing but zeros is a layer through which nothing will ever pass.
        gone = metric == "zero_share" and share.interval[0] == 1
        kind = "dead" if gone else "saturated"
        return Verdict(
            f"{where}, {moment(found[0].step)}, {place}",
            share.mean,
            threshold,
            f"At {place} {percent} {what}.{more}",
            remedy,
            kind,
            study,
            share.low,
            share.high,
            SHARE_REASON,
            ZERO_CAUSE if metric == "zero_share" else OTHER_CAUSES["saturated"],
        )
    return None


def _by_place(records: list[Record]) -> dict[str, Estimate]:
    """Return the mean share at each place, over its time steps, then over seeds."""
    places = dict.fromkeys(record.place for record in records)
    shares = {place: mean_share(select(records, place=place)) for place in places}
    return {place: share for place, share in shares.items() if share}


def _without_zero_starts(
    shares: dict[str, Estimate], records: list[Record]
) -> dict[str, Estimate]:
    """Leave out what gives nothing but zeros in every block, with a way around it.

    Branches may start at zero. What is dead in the gradient's way lets nothing through
    to the places before it.
    """
    roles: defaultdict[str, list[str]] = defaultdict(list)
    for place in shares:
        roles[role(place)].append(place)
    passed, arrives = set(), False
    norms = select(records, metric="log10_gradient_norm")
    for place in dict.fromkeys(record.place for record in norms):
        if arrives:
            passed.add(place)
        found = select(norms, place=place)
        arrives = arrives or any(math.isfinite(record.value) for record in found)
    started = {
        place
        for places in roles.values()
        if all(shares[place].interval[0] == 1 for place in places)
        and passed.intersection(places)
        for place in places
    }
    return {place: share for place, share in shares.items() if place not in started}
