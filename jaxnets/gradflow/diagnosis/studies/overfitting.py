"""Verdicts on overfitting: training against validation, without and with dropout."""

import math
from collections import defaultdict

from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select, verdict_on
from jaxnets.runs.estimates import Estimate, estimate, paired_difference
from jaxnets.runs.formatting import format_estimate, format_percent
from jaxnets.runs.intervals import SIGNED_SHARE
from jaxnets.runs.records import Record


# A smaller gap is mostly sampling noise if the validation set has some hundred
# examples: one standard error at an accuracy of 90 % of 400 examples is 1.5 %.
GAP = 0.05
REASON = (
    "With a few hundred validation examples, a gap below five percentage points is "
    "mostly sampling noise (one standard error at 90 % of 400 examples is 1.5)."
)
OTHER_CAUSE = (
    "Validation data from another distribution than the training data give the same "
    "gap without any overfitting."
)
CONTRAST_REASON = (
    "Both have the same seeds and data, so dropout has an effect if the interval of "
    "the differences, seed by seed, excludes zero."
)
REMEDIES = {
    "overfitting": "Add dropout or weight decay, stop at the lowest validation loss, "
    "use a smaller network, or gather more data.",
    "healthy": "Nothing needs to change: a larger network or longer training may still "
    "gain.",
    "unclear": "Run more seeds before you decide.",
}


def judge(records: list[Record]) -> list[Verdict]:
    """Judge the accuracy gap of every family, then how dropout changes the loss gap."""
    families = dict.fromkeys(record.family for record in records)
    by_family = {family: select(records, family=family) for family in families}
    verdicts = [
        gap_verdict(by_family[family], study="overfitting", family=family)
        for family in families
    ]
    # The loss also measures how certain the wrong answers are; accuracy does not.
    gaps = {family: _gaps(rows, "loss") for family, rows in by_family.items()}
    if "no dropout" in gaps:
        for family in families:
            if family.startswith("dropout"):
                verdicts.append(_contrast(gaps["no dropout"], gaps[family], family))
    return [verdict for verdict in verdicts if verdict]


def gap_verdict(records: list[Record], *, study: str, family: str) -> Verdict | None:
    """Judge how much better one family is on training than on validation data.

    Args:
        records: Records of the family.
        study: The study of the verdict.
        family: Its name.

    Returns:
        The verdict, or None if no seed has both accuracies at one step.
    """
    gap = estimate(_gaps(records, "accuracy").values())
    if gap is None:
        return None
    gap = gap.within(SIGNED_SHARE)
    step = max(r.step for r in select(records, metric="validation_accuracy"))
    kind = _kind(gap)
    return verdict_on(
        kind,
        gap,
        where=f"{family}, {moment(step)}",
        sentence=(
            "Accuracy on the training data is "
            f"{format_percent(gap, ' percentage points')} above that on validation "
            f"data.{_loss_sentence(records)}"
        ),
        remedy=REMEDIES[kind],
        threshold=GAP,
        study=study,
        reason=REASON,
        other_cause=OTHER_CAUSE if kind == "overfitting" else "",
    )


def _gaps(records: list[Record], figure: str) -> dict[int, float]:
    """Return by how much each seed is worse on validation data, at its last step."""
    worse = 1 if figure == "loss" else -1
    gaps = {}
    for seed in sorted({record.seed for record in records}):
        train, validation = (
            {r.step: r.value for r in select(records, seed=seed, metric=metric)}
            for metric in (f"train_{figure}", f"validation_{figure}")
        )
        if shared := train.keys() & validation.keys():
            gaps[seed] = worse * (validation[max(shared)] - train[max(shared)])
    return gaps


def _kind(gap: Estimate) -> str:
    if gap.interval[0] >= GAP:
        return "overfitting"
    return "healthy" if gap.mean < GAP else "unclear"


def _loss_sentence(records: list[Record]) -> str:
    """Say by how much the mean validation loss has risen since its lowest."""
    by_step: defaultdict[int, list[float]] = defaultdict(list)
    for record in select(records, metric="validation_loss"):
        if math.isfinite(record.value):
            by_step[record.step].append(record.value)
    means = {step: sum(values) / len(values) for step, values in by_step.items()}
    if not means:
        return ""
    best, last = min(means, key=lambda step: means[step]), max(means)
    # Less than a tenth may be the jitter of a settled curve.
    if means[last] <= 1.1 * means[best]:
        return " The validation loss has not turned upwards."
    return (
        f" The validation loss was lowest after {best} updates ({means[best]:.3g}) and "
        f"has risen to {means[last]:.3g} since."
    )


def _contrast(
    plain: dict[int, float], dropped: dict[int, float], family: str
) -> Verdict | None:
    """Judge how much smaller the loss gap is with dropout; both gaps are by seed."""
    gain = paired_difference(dropped, plain)
    if gain is None:
        return None
    low, high = gain.interval
    if low > 0:
        remedy = "Keep dropout here; check that validation accuracy itself improves."
    elif high < 0:
        remedy = "Dropout widens the gap here: lower its rate or leave it out."
    else:
        remedy = "The effect is not certain: use more seeds or more data."
    verb, size = ("narrows", gain) if gain.mean >= 0 else ("widens", -gain)
    means = [estimate(gaps.values()) for gaps in (plain, dropped)]
    before, after = (f"{mean.mean:.2g}" for mean in means if mean)
    return verdict_on(
        "contrast",
        gain,
        where=f"no dropout against {family}",
        sentence=(
            f"Dropout {verb} the gap between training and validation loss by "
            f"{format_estimate(size, unit=' nats')}: without it the gap is {before}, "
            f"with it {after}."
        ),
        remedy=remedy,
        threshold=0.0,
        study="overfitting",
        reason=CONTRAST_REASON,
    )
