"""The gradient by layer or time step, and its prediction by theory."""

from collections import defaultdict

from jaxnets.report.charts.axes import MEASURED, PREDICTED, Line
from jaxnets.report.charts.lines import (
    BAND_PREFIXES,
    make_line,
    misfit,
    points_inside,
)
from jaxnets.report.intervals import number
from jaxnets.report.sections.section import Column
from jaxnets.runs.estimates import paired_difference
from jaxnets.runs.records import Record
from jaxnets.runs.selection import ends, of_metric


GRADIENT = "log10_gradient_norm"
THEORY = f"predicted_{GRADIENT}"
BAND = tuple(f"{prefix}{GRADIENT}" for prefix in BAND_PREFIXES.values())
LOG_NORM = "gradient norm (log10)"
MISFIT_NOTE = (
    " Misfit: root mean square distance between theory's line and the measured one; "
    "neither is shifted."
)


def role_of(record: Record) -> str:
    """Return the role of the line that a record of the gradient belongs to."""
    return PREDICTED if record.metric in (THEORY, *BAND) else MEASURED


def arrival(gradients: list[Record], family: str, size: float) -> float | None:
    """Return log10 of the share of the gradient that reaches the first position.

    Args:
        gradients: Measured gradients at one step of training.
        family: The kind of network.
        size: Its size.

    Returns:
        The mean over seeds; None if no seed has a finite value.
    """
    of_network = [r for r in gradients if (r.family, r.size) == (family, size)]
    last, first = (
        {record.seed: record.value for record in ends(of_network, choose)}
        for choose in (max, min)
    )
    change = paired_difference(last, first)
    return change.mean if change else None


def misfit_column(gradients: list[Record]) -> Column:
    """Return the column of theory's misfit, for the networks that theory predicts."""
    records = _with_metric(gradients, THEORY)
    return Column("Misfit of theory (decades)", records, as_misfit, MISFIT_NOTE)


def inside_column(title: str, gradients: list[Record]) -> Column:
    """Return the column that counts measured points inside theory's band."""
    return Column(title, _with_metric(gradients, *BAND), _as_inside)


def _with_metric(records: list[Record], *metrics: str) -> list[Record]:
    """Return the records of the networks that have records of one of the metrics."""
    networks = {record.arm for record in of_metric(records, *metrics)}
    return [record for record in records if record.arm in networks]


def as_misfit(records: list[Record]) -> str:
    """Write the distance of theory's line from the measured one, in decades."""
    distance = misfit(*_measured_and_predicted(records))
    return "–" if distance is None else number(distance, 2)


def _as_inside(records: list[Record]) -> str:
    """Write how many points of the measured line lie inside theory's band."""
    count, total = points_inside(*_measured_and_predicted(records))
    return f"{count} of {total}" if total else "–"


def _measured_and_predicted(records: list[Record]) -> tuple[Line, Line]:
    points = {MEASURED: defaultdict(list), PREDICTED: defaultdict(list)}
    for record in records:
        if record.position is not None:
            points[role_of(record)][float(record.position)].append(record)
    measured, predicted = (make_line("", role, xs) for role, xs in points.items())
    return measured, predicted
