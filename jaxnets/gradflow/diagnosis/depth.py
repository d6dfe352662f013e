"""Verdicts on depth: plain against residual networks, with and without BatchNorm."""

from jaxnets.gradflow.diagnosis.estimates import (
    Estimate,
    difference,
    estimate,
    power_in_words,
)
from jaxnets.gradflow.diagnosis.profiles import TENFOLD, flow_verdict, profile
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.records import Record


REMEDIES = {
    "vanishing": "Add shortcut connections (residual blocks); check that the "
    "initialiser is He's for ReLU; or normalise each layer.",
    "exploding": "Lower the gain of the initialiser, add shortcuts where BatchNorm has "
    "none, start the last layer of each residual branch at zero, or clip the gradient.",
    "healthy": "Nothing to mend in the gradient's flow. If this network still trains "
    "badly, look at the learning rate and the data first.",
    "unclear": "Run more seeds before you decide.",
}
# Keys are the kinds of the verdict on the plain network with BatchNorm.
BATCH_NORM_SENTENCES = {
    "healthy": " With BatchNorm the gradients of the plain network do not vanish, as "
    "He et al. (2015, section 4.1) report: where it trains worse than the residual "
    "one, vanishing gradients are not the reason.",
    "vanishing": " This differs from He et al. (2015, section 4.1), who found that "
    "gradients do not vanish in plain networks with BatchNorm.",
    "exploding": " They do not vanish (He et al. 2015, section 4.1), they grow: "
    "BatchNorm without shortcuts does that at initialisation (Yang et al. 2019, A Mean "
    "Field Theory of Batch Normalization).",
    "unclear": "",
}


def depth_verdicts(records: list[Record]) -> list[Verdict]:
    """Judge every family at its deepest, before and after training, then contrast."""
    found = select(records, study="depth", metric="log10_gradient_norm")
    verdicts = []
    for family in dict.fromkeys(record.family for record in found):
        verdicts += _family_verdicts(select(found, family=family), family)
    for suffix in ("", " + BatchNorm"):
        contrast = _contrast(found, "plain" + suffix, "residual" + suffix)
        verdicts += [contrast] if contrast else []
    return verdicts


def _family_verdicts(records: list[Record], family: str) -> list[Verdict]:
    depth = max(record.size for record in records)
    deepest = select(records, size=depth)
    steps = {record.step for record in deepest}
    verdicts = []
    for step in sorted({min(steps), max(steps)}):
        flow = profile(deepest, step=step)
        if flow is None:
            continue
        verdict = flow_verdict(
            flow,
            study="depth",
            where=f"{family}, depth {depth:g}, {moment(step)}",
            place="block",
            remedies=REMEDIES,
        )
        if step == 0 and family == "plain + BatchNorm":
            addition = BATCH_NORM_SENTENCES[verdict.kind]
            verdict = verdict._replace(sentence=verdict.sentence + addition)
        verdicts.append(verdict)
    return verdicts


def _contrast(records: list[Record], plain: str, residual: str) -> Verdict | None:
    """Compare what arrives at the first block, at the largest depth that both have."""
    depths = [{r.size for r in select(records, family=f)} for f in (plain, residual)]
    if not depths[0] & depths[1]:
        return None
    depth = max(depths[0] & depths[1])
    flows = [
        profile(records, family=family, size=depth, step=0)
        for family in (plain, residual)
    ]
    if flows[0] is None or flows[1] is None:
        return None
    gap = difference(flows[0].arrivals, flows[1].arrivals)
    arrived = [estimate(flow.arrivals) for flow in flows if flow]
    if gap is None or arrived[0] is None or arrived[1] is None:
        return None
    shares = [power_in_words(share.mean) for share in arrived if share]
    measured = (
        f"At depth {depth:g} the first block of the {plain} network receives "
        f"{shares[0]} times the last block's gradient, that of the {residual} network "
        f"{shares[1]} times"
    )
    return Verdict(
        f"{plain} against {residual}, depth {depth:g}, before training",
        gap.mean,
        TENFOLD if gap.mean > 0 else -TENFOLD,
        f"{measured}{_certainty(gap)}",
        _contrast_remedy(gap.bounds, abs(arrived[1].mean) < abs(arrived[0].mean)),
        "contrast",
        "depth",
        gap.low,
        gap.high,
    )


def _certainty(gap: Estimate) -> str:
    if gap.low is None:
        return " (one seed each, so no interval)."
    return (
        f": {gap.mean:+.1f} powers of ten apart (95 % interval {gap.low:+.1f} to "
        f"{gap.high:+.1f}, {gap.seeds} seeds)."
    )


def _contrast_remedy(bounds: tuple[float, float], steadier: bool) -> str:
    """Say what to do; `steadier` is whether the shortcut keeps the size better."""
    low, high = bounds
    if high <= -TENFOLD or low >= TENFOLD:
        if steadier:
            return "The shortcuts keep the gradient's size on its way back: keep them."
        return (
            "Here the gradient keeps its size better without shortcuts: scale the "
            "residual branches down."
        )
    if low > -TENFOLD and high < TENFOLD:
        return (
            "Less than tenfold apart: at this depth shortcuts matter little for the "
            "gradient's size. Go deeper to see more."
        )
    return "Run more seeds before you decide."
