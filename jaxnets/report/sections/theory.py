"""The study of theory: ten claims of the literature, predicted and measured."""

from collections import defaultdict
from typing import Any

from jaxnets.report.charts.axes import MEASURED, PREDICTED, REFINED, Axes
from jaxnets.report.charts.figures import Figure, Plot, Spot, make_figure
from jaxnets.report.charts.lines import make_line, misfit
from jaxnets.report.charts.phase_diagram import make_phase_diagram
from jaxnets.report.intervals import interval, number
from jaxnets.report.sections.section import (
    AnyFigure,
    Headline,
    Section,
    Table,
    section_title,
)
from jaxnets.runs.claims import CLAIMS, Claim
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.folder import Run, items
from jaxnets.runs.records import Record
from jaxnets.runs.selection import of_metric


CLAIM = "claim"
# The role of the line that each metric belongs to.
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
    "At the last point of each line, with the interval over seeds. Points met: those "
    "within the claim's tolerance, or with the prediction inside the interval. "
    "Refined: predicted without the claim's approximation. Misfit: root mean square "
    "distance between prediction and measurement over all points, in the unit of the "
    "figure; neither is shifted."
)


def draw(run: Run) -> Section:
    """Return the section of the study `theory`."""
    records = run.of_study("theory")
    judged = {verdict.get("claim"): verdict for verdict in run.entries("claims")}
    figures: list[AnyFigure] = []
    absent, rows = [], []
    for count, (arm, claim) in enumerate(CLAIMS.items(), 1):
        found = of_metric([r for r in records if r.arm == arm], *ROLES)
        drawn = _figure(count, claim, found)
        if drawn is None:
            absent.append(f"{count}. {claim.title}")
        else:
            verdict = judged.get(arm, {})
            figures.append(drawn._replace(finding=str(verdict.get("sentence") or "")))
            met = _met(verdict)
            title = f"{count}. {claim.name}"
            for _, name in drawn.drawn():
                rows.append([title, name, claim.source, *_cells(found, name, met)])
    chi = [record for record in records if record.arm == "chi"]
    phases = make_phase_diagram("theory", PHASES, chi, CLAIM, lambda record: "")
    if phases is None:
        absent.append(PHASES)
    else:
        figures.append(phases)
    return Section(
        "theory",
        section_title("theory"),
        "Does what the literature says about gradients at initialisation hold in "
        "networks of this size? Nothing is trained. Dashed: the prediction. Dotted: "
        "without the claim's approximation.",
        figures,
        Table("The claims in numbers", CAPTION, HEAD, rows) if rows else None,
        absent,
        _headline(list(judged.values()), figures),
    )


def _headline(
    claims: list[dict[str, Any]], figures: list[AnyFigure]
) -> Headline | None:
    if not claims or not figures:
        return None
    held = sum(claim.get("holds") == "yes" for claim in claims)
    sentence = "claims of the literature hold in networks of this size."
    return Headline(f"{held} of {len(claims)}", sentence, figures[0].plot.name, "")


def _figure(count: int, claim: Claim, records: list[Record]) -> Figure | None:
    axes = Axes(claim.x_axis, claim.y_axis, log=claim.log, bars=not claim.continuous)
    plot = Plot(claim.figure, f"{count}. {claim.title}", claim.reading, axes)
    spots = (
        (record, Spot(record.size, role=ROLES[record.metric])) for record in records
    )
    families = {record.family for record in records}
    return make_figure("theory", plot, spots, families)


def _met(verdict: dict[str, Any]) -> dict[str, str]:
    """Return for each line of a claim how many of its points meet the claim."""
    lines = [line for line in items(verdict.get("lines")) if isinstance(line, dict)]
    return {
        str(line.get("line")): f"{line.get('met')} of {line.get('points')}"
        for line in lines
    }


def _cells(records: list[Record], family: str, met: dict[str, str]) -> list[str]:
    """Return the cells of a line of a claim, without those of its name and source."""
    points = {role: defaultdict(list) for role in ROLES.values()}
    for record in records:
        if record.family == family:
            points[ROLES[record.metric]][record.size].append(record)
    lines = {role: make_line(family, role, xs) for role, xs in points.items()}
    distance = misfit(lines[MEASURED], lines[PREDICTED])
    last = max((*points[MEASURED], *points[PREDICTED]))
    predicted, refined = (
        over_seeds(points[role].get(last, [])) for role in (PREDICTED, REFINED)
    )
    measured = points[MEASURED].get(last)
    return [
        met.get(family, "–"),
        number(last),
        number(predicted.mean) if predicted else "–",
        number(refined.mean) if refined else "–",
        interval(over_seeds(measured)) if measured else "–",
        number(distance, 2),
    ]
