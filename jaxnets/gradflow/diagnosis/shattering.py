"""Verdicts on shattered gradients: how alike gradients are from input to input."""

from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select, verdict_on
from jaxnets.runs.estimates import Estimate, over_seeds
from jaxnets.runs.formatting import format_estimate, format_number
from jaxnets.runs.intervals import SIGNED_SHARE
from jaxnets.runs.records import Record


# The mean of B gradients of length 1 with correlation r has the squared length
# r + (1 - r) / B. Below r = 1 / B it is mostly what B independent vectors leave.
BATCH = 64
THRESHOLD = 1 / BATCH
REASON = (
    f"In the mean over a batch of {BATCH} the common part of the gradients outweighs "
    f"the remaining noise only if their correlation is above 1/{BATCH}. A plain ReLU "
    "network falls to it at 6 layers (1/2^L), a residual one with BatchNorm only far "
    "beyond depths in use (1/sqrt(L), Balduzzi et al. 2017)."
)
OTHER_CAUSE = (
    "Inputs at which the gradient is exactly zero (dead units) count as correlated "
    "with nothing. Outputs of different classes have different gradients: take one."
)
REMEDIES = {
    "shattered": "Add shortcut connections, also if BatchNorm keeps the gradient's "
    "size; or start near a linear network (looks-linear initialiser); or use larger "
    "batches.",
    "healthy": "Nothing needs to change: the gradients of different inputs agree "
    "enough.",
    "unclear": "Run more seeds or more inputs before you decide.",
}


def shattering_verdict(
    records: list[Record], *, study: str, where: str
) -> Verdict | None:
    """Judge the `gradient_correlation` of one family at its first step.

    Args:
        records: Records of the family, of one or several depths.
        study: The study of the verdict.
        where: What is judged.

    Returns:
        A verdict on the deepest network, or None if it has no finite correlation.
    """
    found = select(records, metric="gradient_correlation")
    if not found:
        return None
    step = min(record.step for record in found)
    correlations = {
        depth: over_seeds(select(found, size=depth, step=step))
        for depth in sorted({record.size for record in found})
    }
    deepest = correlations[max(correlations)]
    if deepest is None:
        return None
    deepest = deepest.within(SIGNED_SHARE)
    kind = _kind(deepest)
    return verdict_on(
        kind,
        deepest,
        where=f"{where}, {moment(step)}, across inputs",
        sentence=_sentence(kind, deepest, correlations),
        remedy=REMEDIES[kind],
        threshold=THRESHOLD,
        study=study,
        reason=REASON,
        other_cause=OTHER_CAUSE if kind == "shattered" else "",
    )


def _kind(correlation: Estimate) -> str:
    if correlation.interval[1] <= THRESHOLD:
        return "shattered"
    return "healthy" if correlation.mean >= THRESHOLD else "unclear"


def _sentence(
    kind: str, correlation: Estimate, by_depth: dict[float, Estimate | None]
) -> str:
    shown = [
        f"{format_number(value.mean)} at depth {depth:g}"
        for depth, value in by_depth.items()
        if value is not None
    ]
    trend = f" Against depth: {', '.join(shown)}." if len(shown) > 1 else ""
    meaning = {
        "shattered": "they look like white noise, so a step that helps one input says "
        "next to nothing about another",
        "healthy": "a step that helps one input helps others too",
        "unclear": "the seeds differ too much to tell this from white noise",
    }[kind]
    return (
        "The gradients at two inputs have on average the correlation "
        f"{format_estimate(correlation)}: {meaning}.{trend}"
    )
