"""Verdicts on numbers that are infinite or not a number: how many, and where first."""

import math

from jaxnets.gradflow.diagnosis.verdict import Verdict, select
from jaxnets.runs.estimates import estimate
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record


REASON = (
    "One number that is not finite makes all weights not finite at the next update."
)
OTHER_CAUSE = "One broken example in the data gives the same picture: check it first."
REMEDY = (
    "Lower the learning rate or warm it up, clip the gradient's norm, and look for "
    "a logarithm or division that meets zero."
)


def nonfinite_verdicts(records: list[Record]) -> list[Verdict]:
    """Give one verdict for every arm with numbers that are not finite."""
    broken = [record for record in records if _is_broken(record)]
    arms = dict.fromkeys((record.study, record.arm) for record in broken)
    return [
        _arm_verdict(
            select(records, study=study, arm=arm), select(broken, study=study, arm=arm)
        )
        for study, arm in arms
    ]


def _is_broken(record: Record) -> bool:
    if record.metric == "nonfinite_share":
        return record.value > 0
    # A norm of exactly zero has vanished, not failed.
    zero_norm = record.value == -math.inf and record.metric.endswith("gradient_norm")
    return not math.isfinite(record.value) and not zero_norm


def _arm_verdict(records: list[Record], broken: list[Record]) -> Verdict:
    start = min(record.step for record in broken)
    first, place = _origin(select(broken, step=start))
    seeds = {record.seed for record in records}
    share = estimate(
        len(select(broken, seed=seed)) / len(select(records, seed=seed))
        for seed in seeds
    )
    interval = (None, None) if share is None else share.within(SHARE)[1:3]
    return Verdict(
        f"{first.arm}, all steps" + (f", {place}" if place else ""),
        len(broken) / len(records),
        0.0,
        f"{len(broken)} of {len(records)} numbers are infinite or not a number, in "
        f"{len({record.seed for record in broken})} of {len(seeds)} seeds, first at "
        f"step {first.step}{f', {place}' if place else ''} (`{first.metric}`). They "
        "are left out of the other verdicts.",
        REMEDY,
        "non-finite",
        first.study,
        *interval,
        REASON,
        OTHER_CAUSE,
    )


def _origin(broken: list[Record]) -> tuple[Record, str]:
    """Return the record at which the failure starts, and its place in words.

    On the way forward it starts at the lowest place; where only gradients fail, it
    starts on the way back, at the highest.
    """
    placed = [record for record in broken if record.position is not None]
    forward = [r for r in placed if not r.metric.endswith("gradient_norm")]
    if forward:
        first = min(forward, key=lambda record: record.position or 0)
        return first, f"on the way forward at {_name(first, forward)}"
    if placed:
        first = max(placed, key=lambda record: record.position or 0)
        return first, f"on the way back at {_name(first, placed)}"
    return broken[0], ""


def _name(record: Record, others: list[Record]) -> str:
    """Return the place's name, with the time step where a place has several."""
    positions = {r.position for r in others if r.place == record.place}
    if record.place and len(positions) == 1:
        return record.place
    return f"{record.place} {record.position}".strip()
