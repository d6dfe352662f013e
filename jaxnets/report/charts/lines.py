"""From records to the lines of a chart, and how far theory is from measurement."""

import math
from collections.abc import Mapping, Sequence

from jaxnets.report.charts.axes import MEASURED, PREDICTED, Line
from jaxnets.runs.estimates import Estimate, over_seeds
from jaxnets.runs.intervals import UNBOUNDED, Bounds
from jaxnets.runs.records import Record


# Prefixes of the metrics that hold the ends of theory's band.
BAND_PREFIXES = {"low": "predicted_low_", "high": "predicted_high_"}


def make_line(
    family: str,
    role: str,
    points: Mapping[float, list[Record]],
    bounds: Bounds = UNBOUNDED,
) -> Line:
    """Return the line through the estimates over seeds, at each x with a finite value.

    Args:
        family: The kind of network.
        role: What the line shows.
        points: The records of each x.
        bounds: The smallest and the largest value that the quantity can have.
    """
    found = ((x, _estimate(points[x], bounds)) for x in sorted(points))
    return Line(family, role, [(x, value) for x, value in found if value])


def _estimate(records: list[Record], bounds: Bounds) -> Estimate | None:
    """Return the estimate over seeds; for theory, the prediction and its band."""
    ends = {
        end: r.value
        for r in records
        for end in BAND_PREFIXES
        if r.metric.startswith(BAND_PREFIXES[end])
    }
    middle = [r for r in records if not r.metric.startswith((*BAND_PREFIXES.values(),))]
    found = over_seeds(middle)
    return found and found.within(bounds)._replace(**ends)


def points_inside(measured: Line, predicted: Line) -> tuple[int, int]:
    """Return how many measured points lie inside theory's band, and how many have one.

    Points without a band, such as the one where theory's line starts, do not count.
    """
    # A prediction made for each seed has an interval over seeds instead of a band.
    bands = {x: e.interval for x, e in predicted.points if e.seeds == 1}
    triples = [
        (*bands[x], found.mean)
        for x, found in measured.points
        if x in bands and bands[x][0] < bands[x][1]
    ]
    return sum(low <= mean <= high for low, high, mean in triples), len(triples)


def with_title(name: str, title: str) -> str:
    """Return a name, and the title of its panel if that has one."""
    return f"{name}, {title}" if title else name


def band_note(panels: Mapping[str, Sequence[Line]]) -> list[str]:
    """Return sentences on which measured lines lie inside theory's bands, if any."""
    inside, outside = [], []
    for title, lines in panels.items():
        measured = {line.family: line for line in lines if line.role == MEASURED}
        for line in lines:
            if line.role != PREDICTED or line.family not in measured:
                continue
            count, total = points_inside(measured[line.family], line)
            name = with_title(line.family, title)
            if total and count == total:
                inside.append(name)
            elif total:
                outside.append(f"{name} (outside at {total - count} of {total})")
    sentences = []
    if inside or outside:
        sentences.append(
            "Dotted edges: where theory expects this mean in 95 of 100 runs."
        )
    if inside:
        sentences.append(f"Inside everywhere: {'; '.join(inside)}.")
    if outside:
        sentences.append(f"Not inside everywhere: {'; '.join(outside)}.")
    return sentences


def misfit(measured: Line, predicted: Line) -> float | None:
    """Return the root mean square distance of two lines over the x that both have.

    Neither line is shifted, so an offset of theory's line counts in full. Returns None
    if they have no x in common.
    """
    theory = {x: found.mean for x, found in predicted.points}
    gaps = [found.mean - theory[x] for x, found in measured.points if x in theory]
    if not gaps:
        return None
    return math.sqrt(sum(gap**2 for gap in gaps) / len(gaps))
