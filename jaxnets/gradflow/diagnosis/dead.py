"""Verdicts on dead units: ReLUs that are zero at all inputs."""

from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select, verdict_on
from jaxnets.runs.estimates import Estimate, over_seeds
from jaxnets.runs.formatting import format_percent
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record


# Depth makes inputs alike, and then a unit that is off at one input is off at all of
# them. That explains half of a layer at most. Three quarters is half-way from there to
# a layer through which nothing passes.
THRESHOLD = 0.75
REASON = (
    "Deep ReLU layers make all inputs alike, so up to half of their units may be "
    "zero at all of them by chance; three quarters is half-way from there to a layer "
    "through which nothing passes."
)
OTHER_CAUSE = (
    "In a batch of few or similar inputs, live units may look dead too: measure on "
    "more data."
)
REMEDY = (
    "Lower the learning rate; start biases at zero or above, with He's initialiser; "
    "use a leaky ReLU, which passes a gradient on its negative side too."
)


def dead_verdict(records: list[Record], *, study: str, where: str) -> Verdict | None:
    """Judge the `dead_share` of every layer.

    Args:
        records: Records of one network at one training step.
        study: The study of the verdict.
        where: What is judged.

    Returns:
        A verdict on the first layer beyond the threshold, or None if there is none.
    """
    found = select(records, metric="dead_share")
    found.sort(key=lambda record: record.position or 0)
    shares: dict[str, Estimate] = {}
    for name in dict.fromkeys(record.place for record in found):
        if share := over_seeds(select(found, place=name)):
            shares[name] = share.within(SHARE)
    dead = [name for name, share in shares.items() if share.interval[0] >= THRESHOLD]
    if not dead:
        return None
    name, share = dead[0], shares[dead[0]]
    return verdict_on(
        "dead",
        share,
        where=f"{where}, {moment(found[0].step)}" + (f", {name}" if name else ""),
        sentence=_sentence(name or "the network", share, len(dead), len(shares)),
        remedy=REMEDY,
        threshold=THRESHOLD,
        study=study,
        reason=REASON,
        other_cause=OTHER_CAUSE,
    )


def _sentence(name: str, share: Estimate, count: int, layers: int) -> str:
    more = f" It is the first of {count} such layers out of {layers}." * (count > 1)
    return (
        f"In {name} {format_percent(share, ' % of the ReLU units')} are zero at every "
        f"input: they get no gradient, so they cannot come back by themselves.{more}"
    )
