"""Verdicts on shattered gradients: how alike they are from input to input."""

from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.runs.estimates import Estimate, over_seeds
from jaxnets.runs.formatting import format_estimate, format_number
from jaxnets.runs.intervals import SIGNED_SHARE
from jaxnets.runs.records import Record


# With correlation r the mean of B gradients of length 1 has the squared length
# r + (1 - r) / B: below r = 1 / B most of it is what B independent vectors leave.
BATCH = 64
THRESHOLD = 1 / BATCH
REASON = (
    f"In the mean over a batch of {BATCH} what the gradients share outweighs what is "
    f"left of their noise only if their correlation is above 1/{BATCH}. A plain ReLU "
    "network falls to it at 6 layers (1/2^L), a residual one with BatchNorm only far "
    "beyond depths in use (1/sqrt(L), Balduzzi et al. 2017)."
)
OTHER_CAUSE = (
    "Inputs at which the gradient is exactly zero (dead units) count as correlated "
    "with nothing, and outputs of different classes pull different ways: take one."
)
REMEDIES = {
    "shattered": "Add shortcut connections, also where BatchNorm keeps the gradient's "
    "size; or start near a linear network (looks-linear initialiser); or use larger "
    "batches.",
    "healthy": "Nothing to mend: the gradients of different inputs agree enough.",
    "unclear": "Run more seeds or more inputs before you decide.",
}


def shattering_verdict(
    records: list[Record], *, study: str, where: str
) -> Verdict | None:
    """Judge `gradient_correlation` of one family before training, at its deepest."""
    found = select(records, metric="gradient_correlation")
    if not found:
        return None
    step = min(record.step for record in found)
    sizes = sorted({record.size for record in found})
    by_size = {size: over_seeds(select(found, size=size, step=step)) for size in sizes}
    deepest = by_size[sizes[-1]]
    if deepest is None:
        return None
    deepest = deepest.within(SIGNED_SHARE)
    kind = _kind(deepest)
    return Verdict(
        f"{where}, {moment(step)}, across inputs",
        deepest.mean,
        THRESHOLD,
        _sentence(kind, deepest, by_size),
        REMEDIES[kind],
        kind,
        study,
        deepest.low,
        deepest.high,
        REASON,
        OTHER_CAUSE if kind == "shattered" else "",
    )


def _kind(correlation: Estimate) -> str:
    if correlation.interval[1] <= THRESHOLD:
        return "shattered"
    return "healthy" if correlation.mean >= THRESHOLD else "unclear"


def _sentence(
    kind: str, correlation: Estimate, by_size: dict[float, Estimate | None]
) -> str:
    values = {
        size: format_number(value.mean)
        for size, value in by_size.items()
        if value is not None
    }
    shown = [f"{value} at depth {size:g}" for size, value in values.items()]
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
