"""Verdicts on the learning rate: from the size of updates, and from the loss."""

import math
import statistics

from jaxnets.gradflow.diagnosis.table import Table
from jaxnets.gradflow.diagnosis.verdict import Verdict, select, severity_of, verdict_on
from jaxnets.runs.estimates import Estimate, estimate
from jaxnets.runs.formatting import format_estimate, format_number, power_of_ten
from jaxnets.runs.records import Record


# log10 of the norm of an update over that of the array. A usual update is a thousandth
# of the array. One as large as the array replaces what it has learned; one of a
# millionth needs a million steps to do so.
HIGHEST, HIGH, LARGE = 0.0, -0.5, -1.5
LOW, LOWEST = -5.0, -6.0
HIGH_REASON = (
    "A usual update is a thousandth of the array; one as large as the array replaces "
    "all that it has learned."
)
LOW_REASON = (
    "A usual update is a thousandth of the array; at a millionth it takes a million "
    "updates to replace it."
)
REFERENCE = (
    "Bengio 2012, Practical Recommendations for Gradient-Based Training, section "
    "3.1.1; Cohen et al. 2021, Gradient Descent on Neural Networks Typically Occurs at "
    "the Edge of Stability."
)
LOWER = (
    "Lower the learning rate tenfold, and again until the loss falls; warm it up, or "
    "clip the gradient's norm."
)
RAISE = (
    "Raise the learning rate: an update of a thousandth of the array's norm is usual. "
    "Check the schedule, which may start at or near zero."
)


def rate_verdict(records: list[Record], where: str) -> Verdict | None:
    """Judge the learning rate of one network, if its updates were measured.

    Args:
        records: The records of one network at all steps.
        where: What is judged.

    Returns:
        A verdict of the kind `rate-too-high` or `rate-too-low`, or None.
    """
    steps = sorted({r.step for r in select(records, metric="log10_array_update_norm")})
    if not steps or not has_gradient(select(records, step=steps[0])):
        return None
    start = Table(select(records, step=steps[0]))
    ratios = {step: _ratios(Table(select(records, step=step)), start) for step in steps}
    first = estimate(ratios[steps[0]][0].values())
    largest = max(
        (value for _, most in ratios.values() for value in most.values()),
        default=-math.inf,
    )
    curves = loss_curves(records)
    verdict = _too_high(records, first, curves, where)
    if verdict is None and not (_rounds_all(records) or _has_moved(records)):
        verdict = _too_low(largest, curves, where)
    return verdict


def has_gradient(records: list[Record]) -> bool:
    """Return whether the rate decides what a step does to the arrays.

    Without a gradient none of them moves, and NaN breaks them, at any rate.
    """
    found = select(records, metric="log10_array_gradient_norm")
    sizes = [record.value for record in found if record.value != -math.inf]
    return bool(sizes) and all(map(math.isfinite, sizes))


def _rounds_all(records: list[Record]) -> bool:
    """Return whether 16-bit arrays round updates away, which has its own verdict."""
    moved = select(records, metric="array_moved_share")
    narrow = any(r.value < 32 for r in select(records, metric="dtype_bits"))
    return narrow and bool(moved) and all(r.value == 0 for r in moved)


def _has_moved(records: list[Record]) -> bool:
    """Return whether zero updates were measured, but the arrays changed in between.

    Gradients may be collected over several steps before an update.
    """
    updates = select(records, metric="log10_array_update_norm")
    weights = select(records, metric="log10_array_weight_norm")
    sizes = {(r.place, r.seed): r.value for r in weights if r.step == 0}
    changed = any(sizes.get((r.place, r.seed), r.value) != r.value for r in weights)
    return changed and all(r.value == -math.inf for r in updates)


def loss_curves(records: list[Record]) -> list[list[float]]:
    """Return the loss after each number of updates, for each seed that was trained."""
    losses = select(records, metric="loss")
    curves = []
    for seed in sorted({record.seed for record in losses}):
        found = {r.step: r.value for r in losses if r.seed == seed}
        if len(found) > 1:
            curves.append([found[step] for step in sorted(found)])
    return curves


def update_ratio(records: list[Record], kind: str) -> float:
    """Return the number of a verdict of this kind: the size of the first update.

    It is infinity if all arrays that have a gradient start at zero.
    """
    first = select(records, metric="log10_array_update_norm")
    table = Table(select(records, step=min(record.step for record in first)))
    median, most = _ratios(table, table)
    found = median if kind == "rate-too-high" else most
    return power_of_ten(statistics.fmean(found.values())) if found else math.inf


def _ratios(table: Table, start: Table) -> tuple[dict[int, float], dict[int, float]]:
    """Return the median and the largest log10 of update over array, by seed.

    Arrays that start at zero have no size to compare with.
    """
    found: dict[int, list[float]] = {}
    for array in table.places("log10_array_update_norm"):
        weights = table.seeds("log10_array_weight_norm", array)
        for seed, update in table.seeds("log10_array_update_norm", array).items():
            gradient = table.seeds("log10_array_gradient_norm", array)[seed]
            first = start.seeds("log10_array_weight_norm", array)
            # An array without a gradient does not move at any rate.
            if math.isfinite(first.get(seed, -math.inf)) and gradient > -math.inf:
                found.setdefault(seed, []).append(update - weights[seed])
    return (
        {seed: statistics.median(values) for seed, values in found.items()},
        {seed: max(values) for seed, values in found.items()},
    )


def _too_high(
    records: list[Record],
    ratio: Estimate | None,
    curves: list[list[float]],
    where: str,
) -> Verdict | None:
    diverged = [c for c in curves if math.isfinite(c[0]) and _diverges(c)]
    killed = _killed(records)
    size = -math.inf if ratio is None else ratio.mean
    trained_badly = _trains_badly(curves, diverged, size >= LARGE, bool(killed))
    if not (trained_badly if curves else size >= HIGH):
        return None
    sentence = "The first update is infinite beside the arrays that it changes"
    share = Estimate(math.inf, None, None, 1)
    if ratio is not None:
        share = ratio.map(power_of_ten)
        sentence = f"The first update is {format_estimate(share)} times as large as "
        sentence += "the arrays that it changes"
    if diverged:
        begin, end = (_typical([curve[i] for curve in diverged]) for i in (0, -1))
        sentence += f", and the loss does not fall: {begin} at the start, {end} at the "
        sentence += "end"
    cause = "One step leads far beyond where the gradient is valid."
    if killed:
        cause += f" It ends with {killed} dead: too large a step pushed them there."
    certain = trained_badly or size >= HIGHEST
    return verdict_on(
        "rate-too-high",
        share,
        severity="fault" if certain else "warning",
        where=f"{where}, learning rate",
        sentence=f"{sentence}.",
        cause=cause,
        remedy=LOWER,
        reference=REFERENCE,
        threshold=power_of_ten(LARGE if trained_badly else HIGHEST),
        reason=HIGH_REASON,
        other_cause="A loss that grows at any rate points to a wrong derivative or "
        "sign.",
    )


def _trains_badly(
    curves: list[list[float]], diverged: list[list[float]], large: bool, killed: bool
) -> bool:
    """Return whether training shows that the rate is too high.

    Most losses do not fall, or units die, and the updates are `large`; or a loss that
    started well is not finite in the end.
    """
    broken = any(not math.isfinite(curve[-1]) for curve in diverged)
    most = len(diverged) > len(curves) / 2
    return (most and (large or broken)) or (bool(curves) and killed and large)


def _diverges(curve: list[float]) -> bool:
    """Return whether a loss ends at or above its start, or not finite at all."""
    tail = curve[-max(1, len(curve) // 5) :]
    if not all(map(math.isfinite, tail)):
        return True
    return statistics.fmean(tail) >= curve[0] - 0.01 * abs(curve[0])


def _typical(values: list[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    return written(statistics.median(finite) if finite else math.nan)


def written(loss: float) -> str:
    """Write a loss in a sentence.

    Example:
        >>> written(2.3026), written(math.nan)
        ('2.3', 'not a finite number')
    """
    return format_number(loss) if math.isfinite(loss) else "not a finite number"


def _killed(records: list[Record]) -> str:
    """Say how many units died during training, if more than a quarter of them did."""
    dead = select(records, metric="dead_share")
    steps = sorted({record.step for record in dead})
    if len(steps) < 2:
        return ""
    before, after = (
        statistics.fmean(r.value for r in select(dead, step=step))
        for step in (steps[0], steps[-1])
    )
    return f"{100 * after:.0f} % of the ReLU units" if after - before > 0.25 else ""


def _too_low(largest: float, curves: list[list[float]], where: str) -> Verdict | None:
    if largest > LOW or (largest == -math.inf and not curves):
        return None
    changes = [
        abs(curve[-1] - curve[0]) / max(abs(curve[0]), 1e-30)
        for curve in curves
        if math.isfinite(curve[-1]) and math.isfinite(curve[0])
    ]
    # A loss that falls shows that the updates are large enough.
    if changes and max(changes) > 0.01:
        return None
    ratio = power_of_ten(largest)
    moved = (
        f" The loss changes by {format_number(100 * max(changes))} %."
        if changes
        else ""
    )
    return Verdict(
        kind="rate-too-low",
        severity=severity_of("rate-too-low") if largest <= LOWEST else "warning",
        where=f"{where}, learning rate",
        number=ratio,
        sentence=(
            f"No array moves by more than {format_number(ratio)} of its size in an "
            f"update, so that training at this rate takes far too long.{moved}"
        ),
        cause="The updates are too small beside the parameters.",
        remedy=RAISE,
        reference=REFERENCE,
        threshold=power_of_ten(LOWEST),
        reason=LOW_REASON,
        other_cause="With plain SGD a gradient that has vanished looks the same.",
    )
