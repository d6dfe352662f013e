"""`Verdict`: a number, what it is compared with, and what to do about it."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from jaxnets.runs.estimates import Estimate
from jaxnets.runs.records import Record


# Kinds that are not named here are faults.
_SEVERITIES = {
    "shattered": "warning",
    "overfitting": "warning",
    "unsolved": "warning",
    "rate-falls": "note",
    "unclear": "note",
    "contrast": "note",
    "healthy": "well",
    "solved": "well",
}


class Verdict(NamedTuple):
    """A judgement in words, and the number that it rests on.

    Attributes:
        kind: `vanishing`, `exploding`, `saturated`, `dead`, `shattered`, `detached`,
            `non-finite`, `wrong-backward`, `rate-too-high`, `rate-too-low`, `padding`,
            `rank-collapse`, `rate-falls`, `wrong-loss`, `overfitting`, `unclear`,
            `solved`, `unsolved`, `contrast` or `healthy`.
        severity: `fault` if the network does not train like this, `warning` if it may
            train worse than it could, `note` for information only, and `well` if
            nothing is wrong.
        where: What is judged, such as `plain, depth 56, before training`, and the path
            of the module, parameter or step that causes the fault, if it is a single
            one.
        number: The measured number, the mean over seeds.
        sentence: One to three sentences for a reader who is learning the subject.
        cause: What causes the fault, as far as the other measurements show.
        remedy: What to try.
        reference: Where the effect and the remedy are described.
        threshold: What `number` is compared with; NaN if there is nothing to compare.
        study: The study of the records; `model` for a network that a user measured.
        low: Lower end of the 95 % interval of `number` over seeds; None with one seed.
        high: Upper end.
        reason: Why the threshold has this value.
        other_cause: What else could give the same number; empty if nothing is wrong.
        quantity: What `number` is, so that it can be measured again: the metric of the
            records, and the places where it was measured. Empty if it cannot be
            measured again.
        after: The number measured again with a remedy applied to a copy of the model,
            for one seed; None if no remedy could be applied.
        tried: Which remedies were applied, and what they gave.

    Example:
        >>> from jaxnets.gradflow import verdicts
        >>> from jaxnets.runs.records import Record
        >>> gradient = [
        ...     Record(
        ...         "depth", "plain-8", "plain", 8.0, seed, 0, "log10_gradient_norm",
        ...         f"block{p}", p, 0.01 * seed * p,
        ...     )
        ...     for seed in range(3) for p in range(9)
        ... ]
        >>> [verdict] = verdicts(gradient)
        >>> verdict.where, verdict.kind
        ('plain, depth 8, before training', 'healthy')
    """

    kind: str
    severity: str
    where: str
    number: float
    sentence: str
    cause: str = ""
    remedy: str = ""
    reference: str = ""
    threshold: float = math.nan
    study: str = "model"
    low: float | None = None
    high: float | None = None
    reason: str = ""
    other_cause: str = ""
    quantity: tuple[str, ...] = ()
    after: float | None = None
    tried: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of the interval; with one seed the number twice."""
        if self.low is None or self.high is None:
            return self.number, self.number
        return self.low, self.high


def severity_of(kind: str) -> str:
    """Return the severity that verdicts of this kind have unless more is known.

    Example:
        >>> severity_of("vanishing"), severity_of("overfitting"), severity_of("solved")
        ('fault', 'warning', 'well')
    """
    return _SEVERITIES.get(kind, "fault")


def verdict_on(kind: str, value: Estimate, **fields: Any) -> Verdict:
    """Return the verdict on an estimate, with its interval over seeds.

    Args:
        kind: What was found.
        value: The number that it was found by.
        **fields: The other fields of the verdict; the severity is that of the kind
            unless it is given.
    """
    fields = {"severity": severity_of(kind)} | fields
    own = {"number": value.mean, "low": value.low, "high": value.high}
    return Verdict(kind=kind, **own, **fields)


def trains_anyway(verdict: Verdict, words: str) -> Verdict:
    """Return a fault of a network that trains in spite of it as a note.

    Args:
        verdict: Any verdict.
        words: What the network reaches.

    Example:
        >>> fault = Verdict("exploding", "fault", "plain", 1.2, "It grows.")
        >>> trains_anyway(fault, "it tests at 96 %.").sentence
        'It grows. The network trains in spite of this: it tests at 96 %.'
    """
    if verdict.severity != "fault":
        return verdict
    return verdict._replace(
        severity="note",
        sentence=f"{verdict.sentence} The network trains in spite of this: {words}",
        remedy="Nothing needs to change for this task.",
    )


def select(records: Iterable[Record], **fields: Any) -> list[Record]:
    """Return the records that have the given values in the given fields.

    Example:
        >>> one = Record("time", "RNN-8", "RNN", 8.0, 0, 0, "solved", "", None, 1.0)
        >>> select([one], family="RNN") == [one], select([one], family="LSTM")
        (True, [])
    """
    return [
        record
        for record in records
        if all(getattr(record, name) == value for name, value in fields.items())
    ]


def first_and_last_step(records: Iterable[Record]) -> list[int]:
    """Return the first and the last step of some records, once if they are the same."""
    steps = {record.step for record in records}
    return sorted({min(steps), max(steps)}) if steps else []


def moment(step: int) -> str:
    """Return when a number was measured, in words."""
    if step == 0:
        return "before training"
    return f"after {step} update{'s' if step > 1 else ''}"
