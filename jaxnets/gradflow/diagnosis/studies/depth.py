"""Verdicts on depth: plain against residual networks, with and without BatchNorm."""

from jaxnets.gradflow.diagnosis.contrast import arrival_contrast
from jaxnets.gradflow.diagnosis.profiles import TENFOLD, profile
from jaxnets.gradflow.diagnosis.shattering import shattering_verdict
from jaxnets.gradflow.diagnosis.vanishing import flow_verdict
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.runs.records import Record


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


def judge(records: list[Record]) -> list[Verdict]:
    """Judge every family at its deepest, before and after training, then contrast."""
    study = records
    found = select(study, metric="log10_gradient_norm")
    verdicts: list[Verdict] = []
    for family in dict.fromkeys(record.family for record in found):
        verdicts += _family_verdicts(select(found, family=family), family)
    for suffix in ("", " + BatchNorm"):
        contrast = _contrast(found, "plain" + suffix, "residual" + suffix)
        verdicts += [contrast] if contrast else []
    return [*verdicts, *_shattering_verdicts(study)]


def _shattering_verdicts(records: list[Record]) -> list[Verdict]:
    found = select(records, metric="gradient_correlation")
    verdicts = []
    for family in dict.fromkeys(record.family for record in found):
        rows = select(found, family=family)
        depth = max(record.size for record in rows)
        verdicts.append(
            shattering_verdict(rows, study="depth", where=f"{family}, depth {depth:g}")
        )
    return [verdict for verdict in verdicts if verdict]


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
    contrast = arrival_contrast(
        (plain, residual),
        (flows[0], flows[1]),
        study="depth",
        where=f"{plain} against {residual}, depth {depth:g}, before training",
        opening=f"At depth {depth:g} the first block",
    )
    return contrast and contrast._replace(remedy=_contrast_remedy(contrast))


def _contrast_remedy(contrast: Verdict) -> str:
    """Say what to do; the number is by how much the shortcuts keep the size better."""
    low = contrast.number if contrast.low is None else contrast.low
    high = contrast.number if contrast.high is None else contrast.high
    if low >= TENFOLD:
        return "The shortcuts keep the gradient's size on its way back: keep them."
    if high <= -TENFOLD:
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
