"""Verdicts on overfitting: training against validation, without and with dropout."""

import math

from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.runs.estimates import Estimate, estimate, paired_difference
from jaxnets.runs.formatting import format_estimate
from jaxnets.runs.intervals import SIGNED_SHARE
from jaxnets.runs.records import Record


# Five in a hundred: below it the gap of a validation set of some hundred examples is
# mostly the noise of its sampling (one standard error at 90 % of 400 is 1.5 %).
GAP = 0.05
REASON = (
    "Below five percentage points the gap of some hundred validation examples is "
    "mostly the noise of their sampling (one standard error at 90 % of 400 is 1.5)."
)
OTHER_CAUSE = (
    "Validation data of another kind than the training data give the same gap without "
    "any overfitting."
)
CONTRAST_REASON = (
    "Both have the same seeds and data, so an interval of the differences, seed by "
    "seed, that leaves out zero is an effect of dropout."
)


def judge(records: list[Record]) -> list[Verdict]:
    """Judge the accuracy gap of every family, then what dropout does to it."""
    found = records
    families = dict.fromkeys(record.family for record in found)
    by_family = {family: select(found, family=family) for family in families}
    verdicts = [
        gap_verdict(by_family[family], study="overfitting", family=family)
        for family in families
    ]
    # In the loss, because accuracy does not see how sure the wrong answers are.
    gaps = {family: _gaps(rows, "loss") for family, rows in by_family.items()}
    dropouts = [family for family in families if family.startswith("dropout")]
    for family in dropouts if "no dropout" in gaps else ():
        verdicts.append(_contrast(gaps["no dropout"], gaps[family], family))
    return [verdict for verdict in verdicts if verdict]


def _gaps(records: list[Record], figure: str) -> dict[int, float]:
    """By how much every seed is worse on validation data, at its last shared step."""
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


def gap_verdict(records: list[Record], *, study: str, family: str) -> Verdict | None:
    """Judge how much better one family is on its training than on validation data."""
    gap = estimate(_gaps(records, "accuracy").values())
    if gap is None:
        return None
    gap = gap.within(SIGNED_SHARE)
    step = max(r.step for r in select(records, metric="validation_accuracy"))
    kind = _kind(gap)
    return Verdict(
        f"{family}, {moment(step)}",
        gap.mean,
        GAP,
        f"Accuracy on the training data is {_points(gap)} above that on validation "
        f"data.{_loss_sentence(records)}",
        _REMEDIES[kind],
        kind,
        study,
        gap.low,
        gap.high,
        REASON,
        OTHER_CAUSE if kind == "overfitting" else "",
    )


_REMEDIES = {
    "overfitting": "Add dropout or weight decay, stop at the lowest validation loss, "
    "use a smaller network, or gather more data.",
    "healthy": "Nothing to mend: a larger network or longer training may still gain.",
    "unclear": "Run more seeds before you decide.",
}


def _kind(gap: Estimate) -> str:
    if gap.interval[0] >= GAP:
        return "overfitting"
    return "healthy" if gap.mean < GAP else "unclear"


def _points(value: Estimate) -> str:
    return format_estimate(value, lambda x: f"{100 * x:.3g}", unit=" percentage points")


def _loss_sentence(records: list[Record]) -> str:
    """Say by how much the mean validation loss has risen since its lowest."""
    by_step: dict[int, list[float]] = {}
    for record in select(records, metric="validation_loss"):
        if math.isfinite(record.value):
            by_step.setdefault(record.step, []).append(record.value)
    means = {step: sum(values) / len(values) for step, values in by_step.items()}
    if not means:
        return ""
    best, last = min(means, key=lambda step: means[step]), max(means)
    # A tenth, so that the jitter of a settled curve is not called a rise.
    if means[last] <= 1.1 * means[best]:
        return " The validation loss has not turned upwards."
    return (
        f" The validation loss was lowest after {best} updates ({means[best]:.3g}) and "
        f"has risen to {means[last]:.3g} since."
    )


def _contrast(
    plain: dict[int, float], dropped: dict[int, float], family: str
) -> Verdict | None:
    gain = paired_difference(dropped, plain)
    if gain is None:
        return None
    low, high = gain.interval
    if low > 0:
        remedy = "Keep dropout here; check that validation accuracy itself gained."
    elif high < 0:
        remedy = "Dropout widens the gap here: lower its rate or leave it out."
    else:
        remedy = "The effect is not sure: run more seeds or more data."
    verb = "narrows" if gain.mean >= 0 else "widens"
    size = gain if gain.mean >= 0 else _mirrored(gain)
    means = [estimate(gaps.values()) for gaps in (plain, dropped)]
    before, after = (f"{mean.mean:.2g}" for mean in means if mean)
    return Verdict(
        f"no dropout against {family}",
        gain.mean,
        0.0,
        f"Dropout {verb} the gap between training and validation loss by "
        f"{format_estimate(size, unit=' nats')}: without it the gap is {before}, with "
        f"it {after}.",
        remedy,
        "contrast",
        "overfitting",
        gain.low,
        gain.high,
        CONTRAST_REASON,
    )


def _mirrored(value: Estimate) -> Estimate:
    low, high = (None if end is None else -end for end in (value.high, value.low))
    return Estimate(-value.mean, low, high, value.seeds)
