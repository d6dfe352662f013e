"""`with_remedy`: what a verdict says after its remedies were applied and measured."""

import math
import re
from collections.abc import Iterable

from jaxnets.gradflow.diagnosis import Verdict, verdicts
from jaxnets.gradflow.diagnosis.models.again import layers_of, number_again
from jaxnets.gradflow.diagnosis.profiles import TENFOLD
from jaxnets.gradflow.diagnosis.verdict import moment
from jaxnets.gradflow.evidence.remedies.rates import (
    after_training,
    with_clipping,
    with_other_rate,
)
from jaxnets.gradflow.evidence.remedies.trials import Trials
from jaxnets.runs.formatting import format_factor, format_number
from jaxnets.runs.records import Record


# A number is better if its distance from a healthy one falls to this share.
BETTER = 0.7
# Metrics of which a higher number is better.
HIGHER = ("effective_rank", "distinct_share", "attention_entropy")
# By metric: the number in words.
WORDS = {
    "gradient_rate": "{} per layer",
    "product_rate": "{} per layer",
    "gradient_change": "a factor of {}",
    "product_change": "a factor of {}",
    "gradient_rate_in_time": "{} per step",
    "flat_share": "{} % saturated",
    "dead_share": "{} % dead",
    "off_share": "{} % exactly zero",
    "attention_entropy": "an entropy of {} % of that of equal weights",
    "effective_rank": "an effective rank of {}",
    "distinct_share": "{} % of the mean square differ between inputs",
}


def with_remedy(verdict: Verdict, trials: Trials) -> Verdict:
    """Apply the remedies of a fault or a warning, and say what they gave.

    They are tried one after the other until one helps. One that does not help is no
    longer among those that the verdict recommends.

    Args:
        verdict: A verdict on one network.
        trials: The remedies for its network.
    """
    if verdict.severity not in ("fault", "warning"):
        return verdict
    if verdict.kind in ("rate-too-high", "rate-too-low"):
        return with_other_rate(verdict, trials)
    at_start = moment(0) in verdict.where
    found = _measured_again(verdict, trials, at_start) if verdict.quantity else verdict
    if not (at_start and verdict.severity == "fault"):
        return found
    sentence, better = with_clipping(verdict, trials)
    if not sentence:
        return found
    remedy = found.remedy if better else recommended(found.remedy, "", ["clip"])
    return found._replace(tried=f"{found.tried} {sentence}".strip(), remedy=remedy)


def _measured_again(verdict: Verdict, trials: Trials, at_start: bool) -> Verdict:
    """Apply remedies until the number of the verdict is that of a healthy network."""
    step = 0 if at_start else trials.collector.steps
    sentences: list[str] = []
    failed: list[str] = []
    best: float | None = None
    for trial in trials.of(verdict) if at_start else after_training(verdict, trials):
        records = trial.records()
        if records is None:
            continue
        number = number_again(verdict.quantity, trials.records, records, step)
        if number is None:
            continue
        value = _in_words(verdict.quantity[0], number)
        # Its own fault is judged by its number.
        new = _new_faults(records, trials.records, verdict.kind)
        if _is_well(verdict, number, records, trials.records) and not new:
            return verdict._replace(
                after=number,
                tried=" ".join([*sentences, f"With {trial.words}: {value}."]),
                remedy=recommended(verdict.remedy, trial.pattern, failed),
            )
        better = _distance(verdict, number) < BETTER * _distance(
            verdict, verdict.number
        )
        if best is None or _distance(verdict, number) < _distance(verdict, best):
            best = number
        if new:
            failed.append(trial.pattern)
            ending = f", but then it has another fault: {', '.join(new)}"
        elif better:
            ending = ", which is better, but not enough"
        else:
            failed.append(trial.pattern)
            ending = ", so this does not help"
        sentences.append(f"With {trial.words}: {value}{ending}.")
    if not sentences:
        return verdict
    remedy = recommended(verdict.remedy, "", failed)
    return verdict._replace(after=best, tried=" ".join(sentences), remedy=remedy)


def recommended(remedy: str, first: str, without: Iterable[str]) -> str:
    """Return the alternatives of a remedy, with one first and without some.

    Args:
        remedy: Alternatives, separated by semicolons.
        first: A pattern of the one that helps; empty if none does.
        without: Patterns of those that do not.

    Example:
        >>> recommended("Use ReLU; add shortcuts; normalise.", "shortcut", ["ReLU"])
        'Add shortcuts; normalise.'
    """
    parts = remedy.rstrip(".").split("; ")
    matches = lambda pattern, part: bool(re.search(pattern, part, re.IGNORECASE))
    helps = [part for part in parts if first and matches(first, part)]
    rest = [
        part
        for part in parts
        if part not in helps and not any(matches(p, part) for p in without)
    ]
    kept = [*helps, *rest]
    if not kept:
        return remedy
    text = "; ".join(part[0].lower() + part[1:] for part in kept) + "."
    return text[0].upper() + text[1:]


def _in_words(metric: str, number: float) -> str:
    words = WORDS[metric]
    if metric.startswith(("gradient_", "product_")):
        return words.format(format_factor(number))
    return words.format(format_number(100 * number if "%" in words else number))


def _is_well(
    verdict: Verdict, number: float, records: list[Record], before: list[Record]
) -> bool:
    metric = verdict.quantity[0]
    if metric == "effective_rank":
        # Between a line and a healthy rank there are warnings.
        return not any(
            v.kind == verdict.kind and v.severity in ("fault", "warning")
            for v in verdicts(records)
        )
    if metric in HIGHER:
        return number > verdict.threshold
    if metric.endswith("_share"):
        return number < verdict.threshold
    if metric.endswith("_change"):
        return _distance(verdict, number) < TENFOLD
    if metric == "gradient_rate_in_time":
        return not any(
            v.quantity[:1] == (metric,) and v.severity in ("fault", "warning")
            for v in verdicts(records)
        )
    length = len(layers_of(verdict.quantity, before)) - 1
    if _distance(verdict, number) * length < TENFOLD:
        return True
    kinds = ("vanishing", "exploding")
    return not any(v.kind in kinds and v.severity == "fault" for v in verdicts(records))


def _distance(verdict: Verdict, number: float) -> float:
    """Return how far a number is from that of a healthy network."""
    metric = verdict.quantity[0]
    if metric == "effective_rank":
        return 1 / number
    if metric in HIGHER:
        return -math.log10(max(number, 1e-30))
    if metric.endswith("_share"):
        return number
    return abs(math.log10(number)) if number > 0 else math.inf


def _new_faults(records: list[Record], before: list[Record], kind: str) -> list[str]:
    """Return the kinds of faults, besides `kind`, that a changed network has newly."""
    kinds = [
        {v.kind for v in verdicts(rows) if v.severity == "fault"}
        for rows in (records, before)
    ]
    # Whether a rate suits the network is judged with the old network only.
    return sorted(kinds[0] - kinds[1] - {kind, "rate-too-high", "rate-too-low"})
