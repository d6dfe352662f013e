"""Verdicts on the claims of the study of theory, in words and numbers."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jaxnets.runs.claims import CLAIMS, Claim
from jaxnets.runs.estimates import Estimate, estimate
from jaxnets.runs.formatting import format_number
from jaxnets.runs.records import Record


# A claim that is not met at every point holds in part if at least this share meets it.
PART = 0.5
MEASURED, PREDICTED, REFINED = "claim", "predicted_claim", "refined_claim"


class ClaimVerdict(NamedTuple):
    """Whether a claim holds.

    Attributes:
        number: Number of the claim, from 1.
        claim: Name of its arm.
        statement: The claim in a sentence.
        holds: `yes`, `in part` or `no`.
        sentence: The verdict in words: at how many points the prediction is met, and
            where the measurement is furthest from it.
        lines: For each line of the claim, its name `line`, its number of `points`, the
            number of them that are `met`, and the `misfit` (root mean square distance);
            and for its last point the coordinate `at` and the values `predicted`,
            `refined` and `measured`, with the interval over seeds from `low` to `high`.
            Missing values are None.
    """

    number: int
    claim: str
    statement: str
    holds: str
    sentence: str
    lines: list[dict[str, Any]]


class _Judged(NamedTuple):
    """A point of a claim, with its measurement and whether it is met."""

    line: str
    x: float
    predicted: float
    refined: float | None
    measured: Estimate
    gap: float
    met: bool
    refined_met: bool


def claim_verdicts(records: Iterable[Record]) -> list[ClaimVerdict]:
    """Judge each claim that has records, in the order of their numbers.

    Args:
        records: Records of a run. Those of other studies are ignored.

    Returns:
        One verdict for each claim.

    Example:
        >>> records = [
        ...     Record("theory", "path", "net", 0.1, seed, 0, metric, "", None, value)
        ...     for seed, metric, value in [
        ...         (-1, "predicted_claim", 5.0), (0, "claim", 4.8), (1, "claim", 5.1)
        ...     ]
        ... ]
        >>> [verdict] = claim_verdicts(records)
        >>> verdict.number, verdict.holds
        (5, 'yes')
    """
    of_claim = defaultdict(list)
    for record in records:
        if record.study == "theory" and record.metric in (MEASURED, PREDICTED, REFINED):
            of_claim[record.arm].append(record)
    return [
        _verdict(number, name, claim, points)
        for number, (name, claim) in enumerate(CLAIMS.items(), 1)
        if (points := _points(claim, of_claim[name]))
    ]


def _points(claim: Claim, records: list[Record]) -> list[_Judged]:
    # The values by family and size, then by metric, then by seed.
    values: dict[tuple[str, float], dict[str, dict[int, float]]] = {}
    for r in records:
        by_metric = values.setdefault((r.family, r.size), defaultdict(dict))
        by_metric[r.metric][r.seed] = r.value
    found = (_judged(claim, *key, each) for key, each in values.items())
    return [point for point in found if point is not None]


def _judged(
    claim: Claim, line: str, x: float, values: Mapping[str, Mapping[int, float]]
) -> _Judged | None:
    """Return the point, or None if nothing finite was measured or predicted.

    `values` are those of the point, by metric and seed.
    """
    measured, theirs = values[MEASURED], values[PREDICTED]
    mean = estimate(measured.values())
    predicted = estimate(theirs.values())
    # A prediction that is a property of each network is compared seed by seed.
    gaps = estimate(
        value - theirs.get(seed, theirs.get(-1, math.nan))
        for seed, value in measured.items()
    )
    if mean is None or predicted is None or gaps is None:
        return None
    refined = values[REFINED].get(-1)
    return _Judged(
        line,
        x,
        predicted.mean,
        refined,
        mean,
        abs(gaps.mean),
        _met(claim, gaps, predicted.mean),
        refined is not None and _met(claim, _less(mean, refined), refined),
    )


def _less(value: Estimate, number: float) -> Estimate:
    return value.map(lambda end: end - number)


def _met(claim: Claim, gap: Estimate, predicted: float) -> bool:
    """Return whether the gap is within the tolerance or its interval contains 0."""
    low, high = gap.interval
    tolerance = max(claim.tolerance, claim.relative_tolerance * abs(predicted))
    return abs(gap.mean) <= tolerance or low <= 0.0 <= high


def _verdict(
    number: int, name: str, claim: Claim, points: list[_Judged]
) -> ClaimVerdict:
    met = sum(point.met for point in points)
    holds = (
        "yes" if met == len(points) else "no" if met < PART * len(points) else "in part"
    )
    lines = defaultdict(list)
    for point in sorted(points, key=lambda point: point.x):
        lines[point.line].append(point)
    return ClaimVerdict(
        number,
        name,
        claim.statement,
        holds,
        _sentence(claim, holds, points),
        [_line(line, theirs) for line, theirs in lines.items()],
    )


def _sentence(claim: Claim, holds: str, points: list[_Judged]) -> str:
    met = sum(point.met for point in points)
    count = "all" if met == len(points) else f"{met} of"
    opening = {"yes": "Holds", "in part": "Holds in part", "no": "Does not hold"}[holds]
    furthest = max(points, key=lambda point: (not point.met, point.gap))
    sentences = [
        f"{opening}: met at {count} {len(points)} points, within {_tolerance(claim)} "
        "or the interval over seeds.",
        f"Furthest off: {furthest.line} at {claim.varied} {furthest.x:.3g}, "
        f"predicted {format_number(furthest.predicted)}, measured "
        f"{_measured(furthest.measured)}.",
    ]
    refined = [point for point in points if point.refined is not None]
    if claim.refinement and refined:
        sentences.append(_refinement(claim, refined, furthest))
    return " ".join(sentences)


def _refinement(claim: Claim, points: list[_Judged], furthest: _Judged) -> str:
    met = sum(point.refined_met for point in points)
    count = "all" if met == len(points) else f"{met} of"
    number = furthest.refined
    there = "" if number is None else f", {format_number(number)} there"
    opening = claim.refinement[0].upper() + claim.refinement[1:]
    return f"{opening}, theory is met at {count} its {len(points)} points{there}."


def _tolerance(claim: Claim) -> str:
    ways = [f"{claim.tolerance:g} {claim.unit}".strip()] if claim.tolerance else []
    if claim.relative_tolerance:
        ways.append(f"{100 * claim.relative_tolerance:g} %")
    return " or ".join(ways)


def _measured(value: Estimate) -> str:
    mean, low, high = map(format_number, (value.mean, *value.interval))
    return f"{mean} (one seed)" if value.seeds == 1 else f"{mean} ({low} to {high})"


def _line(name: str, points: list[_Judged]) -> dict[str, Any]:
    last = points[-1]
    return {
        "line": name,
        "points": len(points),
        "met": sum(point.met for point in points),
        "misfit": math.sqrt(sum(p.gap**2 for p in points) / len(points)),
        "at": last.x,
        "predicted": last.predicted,
        "refined": last.refined,
        "measured": last.measured.mean,
        "low": last.measured.low,
        "high": last.measured.high,
    }
