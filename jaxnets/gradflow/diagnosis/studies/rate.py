"""Verdicts on the learning rate: how fast the largest stable one falls with depth."""

from jaxnets.gradflow.diagnosis.contrast import REASON
from jaxnets.gradflow.diagnosis.verdict import Verdict, select, verdict_on
from jaxnets.runs.estimates import Estimate, estimate, exponents, paired_difference
from jaxnets.runs.formatting import format_estimate
from jaxnets.runs.records import Record


PLAIN, SCALED = "plain", "residual, scaled"
# By family: the exponent that theory has for the first update of a deep network.
THEORY = {PLAIN: -1.5, SCALED: 0.0}
# Within this exponent a rate that was tuned at one depth serves one ten times as deep
# if it is lowered by less than a factor of two.
FLAT = 0.3
REMEDIES = {
    "healthy": "A learning rate that was tuned on a shallow network can be kept.",
    "rate-falls": "Lower the learning rate when you add layers, by the measured power "
    "of the depth; or add shortcuts and multiply each branch by 1 / sqrt(depth).",
    "unclear": "Run more seeds before you decide.",
}
FALLS_REASON = (
    "With an exponent of 0.3 a network that is ten times as deep needs half the rate, "
    "which is about the distance between two rates of a usual search."
)


def judge(records: list[Record]) -> list[Verdict]:
    """Judge each family over all its depths, then contrast plain with scaled."""
    found = {
        family: exponents(select(records, family=family, metric="log10_stable_rate"))
        for family in (PLAIN, SCALED)
    }
    verdicts = [_verdict(records, family, found[family]) for family in found]
    verdicts.append(_contrast(found[PLAIN], found[SCALED]))
    return [verdict for verdict in verdicts if verdict]


def _verdict(
    records: list[Record], family: str, found: dict[int, float]
) -> Verdict | None:
    """Judge the exponent of the largest stable rate of one family."""
    exponent = estimate(found.values())
    if exponent is None:
        return None
    kind = _kind(exponent)
    depths = sorted({r.size for r in select(records, family=family)})
    first = estimate(
        exponents(
            select(records, family=family, metric="log10_first_step_rate")
        ).values()
    )
    beside = (
        f" The rate that the first update on one image allows falls as depth to the "
        f"{format_estimate(first)}; theory says {THEORY[family]:g}."
        if first
        else ""
    )
    return verdict_on(
        kind,
        exponent,
        where=f"{family}, depths {depths[0]:g} to {depths[-1]:g}",
        sentence=(
            "The largest stable learning rate changes as the depth to the power "
            f"{format_estimate(exponent)}.{beside}"
        ),
        remedy=REMEDIES[kind],
        reference="Jelassi et al. 2023, Depth Dependence of muP Learning Rates in "
        "ReLU MLPs (arXiv 2305.07810)",
        threshold=-FLAT,
        study="rate",
        reason=FALLS_REASON,
    )


def _kind(exponent: Estimate) -> str:
    low, high = exponent.interval
    if high <= -FLAT:
        return "rate-falls"
    return "healthy" if low > -FLAT else "unclear"


def _contrast(plain: dict[int, float], scaled: dict[int, float]) -> Verdict | None:
    """Compare the exponents of plain networks and of scaled branches."""
    gap = paired_difference(plain, scaled)
    if gap is None:
        return None
    certain = gap.interval[0] > 0
    return verdict_on(
        "contrast",
        gap,
        where=f"{PLAIN} against {SCALED}",
        sentence=(
            "With shortcuts and scaled branches the exponent of the largest stable "
            f"rate is larger by {format_estimate(gap)}."
        ),
        remedy=(
            "Scale the branches by 1 / sqrt(depth), and keep the learning rate."
            if certain
            else "The two do not differ for sure: run more seeds before you decide."
        ),
        threshold=0.0,
        study="rate",
        reason=REASON,
    )
