"""The lines of a chart from records, and how measured ones lie beside theory's."""

import math
from collections.abc import Mapping, Sequence

from jaxnets.report.charts.axes import MEASURED, PREDICTED, Line
from jaxnets.report.intervals import Estimate, over_seeds
from jaxnets.runs.records import Record


# How the metrics of the ends of theory's band begin.
BAND_PREFIXES = {"low": "predicted_low_", "high": "predicted_high_"}


def make_line(
    family: str,
    role: str,
    places: Mapping[float, list[Record]],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Line:
    """Return the line through the estimates at each x that has a finite value."""
    found = {x: _estimate(records).within(bounds) for x, records in places.items()}
    points = [(x, e) for x, e in found.items() if e.seeds]
    return Line(family, role, sorted(points))


def _estimate(records: list[Record]) -> Estimate:
    """Return the mean over seeds, or theory's value with the ends of its band."""
    ends = {
        end: r.value
        for r in records
        for end in BAND_PREFIXES
        if r.metric.startswith(BAND_PREFIXES[end])
    }
    middle = [r for r in records if not r.metric.startswith((*BAND_PREFIXES.values(),))]
    return over_seeds(middle)._replace(**ends)


def points_inside(measured: Line, predicted: Line) -> tuple[int, int]:
    """Return at how many places the measured line is in theory's band, and of how many.

    Places without a band, such as the one that theory's line starts from, are left out.
    """
    # A prediction of each network has an interval over seeds, and no band.
    bands = {x: e for x, e in predicted.points if e.seeds == 1 and e.low < e.high}
    places = [(bands[x], found.mean) for x, found in measured.points if x in bands]
    return sum(band.low <= mean <= band.high for band, mean in places), len(places)


def band_note(panels: Mapping[str, Sequence[Line]]) -> list[str]:
    """Say where measured lines lie in theory's bands, in sentences or none."""
    within, without = [], []
    for title, lines in panels.items():
        measured = {line.family: line for line in lines if line.role == MEASURED}
        for line in lines:
            if line.role != PREDICTED or line.family not in measured:
                continue
            count, places = points_inside(measured[line.family], line)
            name = f"{line.family}, {title}" if title else line.family
            if places and count == places:
                within.append(name)
            elif places:
                without.append(f"{name} (outside at {places - count} of {places})")
    sentences = []
    if within or without:
        sentences.append(
            "Between dotted edges: where theory expects the mean line of so many "
            "narrow networks, in 95 of 100 runs."
        )
    if within:
        sentences.append(f"Inside all along: {'; '.join(within)}.")
    if without:
        sentences.append(f"Not inside all along: {'; '.join(without)}.")
    return sentences


def misfit(measured: Line, predicted: Line) -> float | None:
    """Return the root mean square distance of two lines where both have a point.

    Neither line is moved: an offset of theory's line counts in full.
    """
    theory = {x: found.mean for x, found in predicted.points}
    gaps = [found.mean - theory[x] for x, found in measured.points if x in theory]
    if not gaps:
        return None
    return math.sqrt(sum(gap**2 for gap in gaps) / len(gaps))
