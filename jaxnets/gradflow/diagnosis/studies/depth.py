"""Verdicts on depth: plain against residual networks, with and without BatchNorm."""

from jaxnets.gradflow.diagnosis.contrast import arrival_contrast
from jaxnets.gradflow.diagnosis.profiles import TENFOLD, profile
from jaxnets.gradflow.diagnosis.shattering import shattering_verdict
from jaxnets.gradflow.diagnosis.studies.extreme import SOLVED
from jaxnets.gradflow.diagnosis.vanishing import profile_verdict
from jaxnets.gradflow.diagnosis.verdict import (
    Verdict,
    first_and_last_step,
    moment,
    select,
    trains_anyway,
)
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.formatting import format_percent
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record


REMEDIES = {
    "vanishing": "Add shortcut connections (residual blocks); check that the "
    "initialiser is He's for ReLU; or normalise each layer.",
    "exploding": "Lower the gain of the initialiser, add shortcuts if BatchNorm has "
    "none, start the last layer of each residual branch at zero, or clip the gradient.",
    "healthy": "Nothing needs to change in the gradient's flow. If this network still "
    "trains badly, look at the learning rate and the data first.",
    "unclear": "Run more seeds before you decide.",
}
# By the kind of the verdict on the plain network with BatchNorm.
BATCH_NORM_SENTENCES = {
    "healthy": " With BatchNorm the gradients of the plain network do not vanish, as "
    "He et al. (2015, section 4.1) report: if it trains worse than the residual one, "
    "vanishing gradients are not the reason.",
    "vanishing": " This differs from He et al. (2015, section 4.1), who found that "
    "gradients do not vanish in plain networks with BatchNorm.",
    "exploding": " They do not vanish (He et al. 2015, section 4.1), they grow: "
    "BatchNorm without shortcuts does that at initialisation (Yang et al. 2019, A Mean "
    "Field Theory of Batch Normalization).",
    "unclear": "",
}


def judge(records: list[Record]) -> list[Verdict]:
    """Judge every family at its deepest, before and after training, then contrast."""
    norms = select(records, metric="log10_gradient_norm")
    verdicts: list[Verdict | None] = []
    for family in dict.fromkeys(record.family for record in norms):
        found = _family_verdicts(select(norms, family=family), family)
        verdicts += _as_trained(found, select(records, family=family))
    for suffix in ("", " + BatchNorm"):
        verdicts.append(_contrast(norms, "plain" + suffix, "residual" + suffix))
    correlations = select(records, metric="gradient_correlation")
    for family in dict.fromkeys(record.family for record in correlations):
        rows = select(correlations, family=family)
        where = f"{family}, depth {max(record.size for record in rows):g}"
        verdicts.append(shattering_verdict(rows, study="depth", where=where))
    return [verdict for verdict in verdicts if verdict]


def _family_verdicts(records: list[Record], family: str) -> list[Verdict]:
    depth = max(record.size for record in records)
    deepest = select(records, size=depth)
    verdicts = []
    for step in first_and_last_step(deepest):
        norms = profile(deepest, step=step)
        if norms is None:
            continue
        verdict = profile_verdict(
            norms,
            study="depth",
            where=f"{family}, depth {depth:g}, {moment(step)}",
            unit="block",
            remedies=REMEDIES,
        )
        if step == 0 and family == "plain + BatchNorm":
            addition = BATCH_NORM_SENTENCES[verdict.kind]
            verdict = verdict._replace(sentence=verdict.sentence + addition)
        verdicts.append(verdict)
    return verdicts


def _as_trained(found: list[Verdict], records: list[Record]) -> list[Verdict]:
    """Make notes of the faults of a family whose deepest network learns well."""
    depth = max(record.size for record in records)
    tested = select(records, metric="test_accuracy", size=depth)
    accuracy = over_seeds(tested)
    if accuracy is None or accuracy.interval[0] < SOLVED:
        return found
    share = format_percent(accuracy.within(SHARE), " % of the test images")
    words = f"after {tested[0].step} updates it classifies {share} correctly."
    return [trains_anyway(verdict, words) for verdict in found]


def _contrast(records: list[Record], plain: str, residual: str) -> Verdict | None:
    """Compare what arrives at the first block, at the largest depth that both have."""
    depths = [{r.size for r in select(records, family=f)} for f in (plain, residual)]
    if not depths[0] & depths[1]:
        return None
    depth = max(depths[0] & depths[1])
    profiles = [
        profile(records, family=family, size=depth, step=0)
        for family in (plain, residual)
    ]
    if profiles[0] is None or profiles[1] is None:
        return None
    contrast = arrival_contrast(
        (plain, residual),
        (profiles[0], profiles[1]),
        study="depth",
        where=f"{plain} against {residual}, depth {depth:g}, before training",
        opening=f"At depth {depth:g} the first block",
    )
    return contrast and contrast._replace(remedy=_contrast_remedy(contrast))


def _contrast_remedy(contrast: Verdict) -> str:
    """Return what to do about a contrast of networks without and with shortcuts."""
    low, high = contrast.interval
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
