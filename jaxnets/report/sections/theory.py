"""The study of theory: nine claims, each as a prediction and a measurement."""

from collections import defaultdict
from typing import Any

from jaxnets.report.charts.axes import MEASURED, PREDICTED, REFINED, Axes
from jaxnets.report.charts.figures import Figure, Plot, Spot, figure
from jaxnets.report.charts.lines import line, misfit
from jaxnets.report.charts.phase import phase_diagram
from jaxnets.report.intervals import interval, number
from jaxnets.report.sections.section import AnyFigure, Section, Table, section_title
from jaxnets.runs.claims import CLAIMS, Claim
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.folder import Run, items
from jaxnets.runs.records import Record
from jaxnets.runs.selection import of_metric


CLAIM = "claim"
# The role of each metric's line.
ROLES = {CLAIM: MEASURED, "predicted_claim": PREDICTED, "refined_claim": REFINED}
PHASES = "Order and chaos: tanh networks beside the critical line"
HEAD = [
    "Claim",
    "Line",
    "Source",
    "Points met",
    "At",
    "Predicted",
    "Refined",
    "Measured",
    "Misfit",
]
CAPTION = (
    "At the last point of each line, with its interval over seeds. Points met: within "
    "the claim's tolerance, or the prediction within the interval. Refined: predicted "
    "without the claim's approximation. Misfit: root mean square distance of the "
    "prediction from the measurement over all points, in the unit of the figure, with "
    "neither of them moved."
)


def draw(run: Run) -> Section:
    """Draw the section of the study `theory`."""
    records = run.of_study("theory")
    judged = {verdict.get("claim"): verdict for verdict in run.entries("claims")}
    figures: list[AnyFigure] = []
    absent, rows = [], []
    for count, (arm, claim) in enumerate(CLAIMS.items(), 1):
        theirs = of_metric([r for r in records if r.arm == arm], *ROLES)
        drawn = _figure(count, claim, theirs)
        if drawn is None:
            absent.append(f"{count}. {claim.title}")
        else:
            verdict = judged.get(arm, {})
            figures.append(drawn._replace(finding=str(verdict.get("sentence") or "")))
            met = _met(verdict)
            title = f"{count}. {claim.name}"
            for _, name in drawn.drawn():
                rows.append([title, name, claim.source, *_cells(theirs, name, met)])
    chi = [record for record in records if record.arm == "chi"]
    phases = phase_diagram("theory", PHASES, chi, CLAIM, lambda record: "")
    if phases is None:
        absent.append(PHASES)
    else:
        figures.append(phases)
    return Section(
        "theory",
        section_title("theory"),
        "Does what the literature says about gradients at initialisation hold in "
        "networks of this size? Nothing is trained; dashed is the prediction, solid "
        "the measurement, dotted a prediction without the claim's approximation.",
        figures,
        Table("The claims", CAPTION, HEAD, rows) if rows else None,
        absent,
    )


def _figure(count: int, claim: Claim, records: list[Record]) -> Figure | None:
    axes = Axes(claim.x_axis, claim.y_axis, log=claim.log, bars=not claim.continuous)
    plot = Plot(claim.figure, f"{count}. {claim.title}", claim.reading, axes)
    spots = (
        (record, Spot(record.size, role=ROLES[record.metric])) for record in records
    )
    families = {record.family for record in records}
    return figure("theory", plot, spots, families)


def _met(verdict: dict[str, Any]) -> dict[str, str]:
    """Return at how many points each line of a claim is met, as the run judged it."""
    lines = [line for line in items(verdict.get("lines")) if isinstance(line, dict)]
    return {
        str(line.get("line")): f"{line.get('met')} of {line.get('points')}"
        for line in lines
    }


def _cells(records: list[Record], family: str, met: dict[str, str]) -> list[str]:
    """Return the cells of a line of a claim, after those that name it."""
    places = {role: defaultdict(list) for role in ROLES.values()}
    for record in records:
        if record.family == family:
            places[ROLES[record.metric]][record.size].append(record)
    lines = {role: line(family, role, theirs) for role, theirs in places.items()}
    distance = misfit(lines[MEASURED], lines[PREDICTED])
    last = max((*places[MEASURED], *places[PREDICTED]))
    predicted, refined = (
        over_seeds(places[role].get(last, [])) for role in (PREDICTED, REFINED)
    )
    measured = places[MEASURED].get(last)
    return [
        met.get(family, "–"),
        number(last),
        number(predicted.mean) if predicted else "–",
        number(refined.mean) if refined else "–",
        interval(over_seeds(measured)) if measured else "–",
        number(distance, 2),
    ]
