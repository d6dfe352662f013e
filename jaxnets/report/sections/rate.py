"""The study of the learning rate: how large it can be in a deeper network."""

import math

from jaxnets.report.charts.axes import MEASURED, PREDICTED, Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.intervals import interval, number
from jaxnets.report.sections.section import (
    Headline,
    Section,
    Spots,
    Table,
    make_section,
)
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.estimates import estimate, exponents
from jaxnets.runs.folder import Run
from jaxnets.runs.records import Record
from jaxnets.runs.selection import of_metric


STABLE, FIRST, THEORY = (
    "log10_stable_rate",
    "log10_first_step_rate",
    "predicted_log10_first_step_rate",
)
# What theory says of deep networks; without a branch scale no power law holds.
EXPONENTS = {"plain": "−3/2", "residual": "none", "residual, scaled": "0"}


def draw(run: Run) -> Section:
    """Return the section of the study `rate`."""
    records = run.of_study("rate")
    plots: list[tuple[Plot, Spots]] = [
        (_STABLE, _by_depth(of_metric(records, STABLE))),
        (_FIRST, _by_depth(of_metric(records, FIRST, THEORY))),
    ]
    return make_section(
        "rate",
        "How much must the learning rate fall if layers are added, and what do "
        "shortcuts and a branch scale of 1 / sqrt(depth) change?",
        plots,
        _table(records),
        {record.family for record in records},
        _headline(records),
    )


def _exponent(records: list[Record], family: str, metric: str):
    """Return the exponent of the depth over seeds, or None."""
    found = [r for r in of_metric(records, metric) if r.family == family]
    return estimate(exponents(found).values())


def _headline(records: list[Record]) -> Headline | None:
    plain, scaled = (
        _exponent(records, family, STABLE) for family in ("plain", "residual, scaled")
    )
    if plain is None:
        return None
    sentence = (
        "is the power of the depth with which the largest stable learning rate of a "
        "plain network changes"
    )
    if scaled is not None:
        sentence += (
            "; with shortcuts and branches scaled by 1 / sqrt(depth) it is "
            f"{number(scaled.mean, 2)}"
        )
    return Headline(number(plain.mean, 2), f"{sentence}.", _STABLE.name, "plain")


def _by_depth(records: list[Record]) -> Spots:
    for record in records:
        role = PREDICTED if record.metric == THEORY else MEASURED
        role = "" if record.metric == STABLE else role
        yield record, Spot(math.log2(record.size), "", role)


_DEPTH = "depth, as a power of two (6 means 64 layers)"
_STABLE = Plot(
    "largest-stable-rate",
    "Largest stable learning rate, against depth",
    "Both axes are logarithmic, so a power of the depth is a straight line. A level "
    "line belongs to networks that can keep their rate when layers are added.",
    Axes(_DEPTH, "learning rate (log10)", bars=True),
)
_FIRST = Plot(
    "first-step-rate",
    "Learning rate that the first update allows, against depth",
    "At this rate one step of gradient descent on one image changes the last hidden "
    "layer by as much as it is large. Dashed: theory's prediction.",
    Axes(_DEPTH, "learning rate (log10)", bars=True),
)


def _table(records: list[Record]) -> Table | None:
    rows = []
    for family in STUDIES["rate"].families:
        found = [_exponent(records, family, metric) for metric in (STABLE, FIRST)]
        if any(found):
            cells = [interval(each) if each else "–" for each in found]
            line = _exponent(records, family, THEORY)
            predicted = number(line.mean) if line else "–"
            rows.append([family, *cells, predicted, EXPONENTS[family]])
    if not rows:
        return None
    return Table(
        "Results in numbers",
        "The power of the depth with which each rate changes, by least squares on "
        "logarithmic axes: mean and interval over seeds. Theory's line is fitted at "
        "the same depths; its limit is for many layers.",
        [
            "Network",
            "Largest stable rate",
            "Rate of the first update",
            "Theory, same depths",
            "Theory, many layers",
        ],
        rows,
    )
