"""Verdicts on dead units: ReLUs that are zero at all inputs."""

from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.runs.estimates import Estimate, estimate
from jaxnets.runs.formatting import format_estimate
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record


# Depth makes inputs alike, and a unit that is off at one is then off at all: that
# explains half of a layer, no more. Three quarters is half-way from there to a layer
# through which nothing passes.
THRESHOLD = 0.75
REASON = (
    "Deep ReLU layers make all inputs alike, so up to half of their units may be off "
    "at all of them by chance; three quarters is half-way from there to a layer "
    "through which nothing passes."
)
OTHER_CAUSE = (
    "In a batch of few or similar inputs living units look dead too: measure on more "
    "data."
)
REMEDY = (
    "Lower the learning rate, start biases at zero or above, use He's initialiser, or "
    "a leaky ReLU, which passes a gradient on its negative side too."
)


def dead_verdict(records: list[Record], *, study: str, where: str) -> Verdict | None:
    """Judge `dead_share` at one step; None where no layer is beyond the threshold."""
    found = select(records, metric="dead_share")
    layers = {
        (record.position, record.place): estimate(
            r.value for r in select(found, position=record.position, place=record.place)
        )
        for record in sorted(found, key=lambda record: record.position or 0)
    }
    shares = {
        place: found.within(SHARE) for (_, place), found in layers.items() if found
    }
    dead = {
        place: share
        for place, share in shares.items()
        if share.interval[0] >= THRESHOLD
    }
    if not dead:
        return None
    place, share = next(iter(dead.items()))
    name = place or "the network"
    return Verdict(
        f"{where}, {moment(found[0].step)}" + (f", {place}" if place else ""),
        share.mean,
        THRESHOLD,
        _sentence(name, share, len(dead), len(layers)),
        REMEDY,
        "dead",
        study,
        share.low,
        share.high,
        REASON,
        OTHER_CAUSE,
    )


def _sentence(name: str, share: Estimate, count: int, layers: int) -> str:
    part = format_estimate(share, lambda s: f"{100 * s:.3g}", " % of the ReLU units")
    more = f" It is the first of {count} such layers out of {layers}." * (count > 1)
    return (
        f"In {name} {part} are zero at every input: they get no gradient, so they "
        f"cannot come back by themselves.{more}"
    )
