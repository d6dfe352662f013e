"""`Verdict`: one number, what it is compared with, and what a person should do."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from jaxnets.runs.records import Record


class Verdict(NamedTuple):
    """A judgement in words, and the number it stands on.

    Attributes:
        where: What is judged, such as `plain, depth 56, before training`; where one
            place stands out, its name too.
        number: The measured number, the mean over seeds.
        threshold: What `number` is compared with.
        sentence: One to three sentences for a person who learns the subject.
        remedy: What to try.
        kind: `vanishing`, `exploding`, `saturated`, `dead`, `shattered`,
            `overfitting`, `non-finite`, `healthy`, `unclear`, `solved`, `unsolved` or
            `contrast`.
        study: The study of the records; `model` for a network that you measured.
        low: Lower end of the 95 % interval of `number` over seeds; None from one seed.
        high: Upper end.
        reason: Why the threshold is where it is.
        other_cause: What else could give the same number; empty where nothing is wrong.

    Example:
        >>> from jaxnets.gradflow import verdicts
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

    where: str
    number: float
    threshold: float
    sentence: str
    remedy: str
    kind: str
    study: str
    low: float | None = None
    high: float | None = None
    reason: str = ""
    other_cause: str = ""


def select(records: Iterable[Record], **wanted: Any) -> list[Record]:
    """Return the records whose fields equal `wanted`.

    Example:
        >>> one = Record("time", "RNN-8", "RNN", 8.0, 0, 0, "solved", "", None, 1.0)
        >>> select([one], family="RNN") == [one], select([one], family="LSTM")
        (True, [])
    """
    return [
        record
        for record in records
        if all(getattr(record, field) == value for field, value in wanted.items())
    ]


def moment(step: int) -> str:
    """Say when a number was measured."""
    if step == 0:
        return "before training"
    return f"after {step} update{'s' if step > 1 else ''}"
