"""The study of theory: nine claims of the literature, predicted and measured."""

from collections import defaultdict
from typing import Any

from jaxnets.report.charts.axes import MEASURED, PREDICTED, REFINED
from jaxnets.report.charts.figures import Figure, Spot, make_figure
from jaxnets.report.charts.lines import make_line, misfit
from jaxnets.report.charts.phase_diagram import make_phase_diagram
from jaxnets.report.intervals import interval, number, over_seeds
from jaxnets.report.sections.claims import CLAIMS, Claim
from jaxnets.report.sections.section import AnyFigure, Section, Table
from jaxnets.runs.reading import items
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


def theory_section(records: list[Record], verdicts: list[dict[str, Any]]) -> Section:
    """Return the section of the study `theory`.

    Args:
        records: The records of the study.
        verdicts: The verdicts on the claims in the run's summary.
    """
    judged = {verdict.get("claim"): verdict for verdict in verdicts}
    figures: list[AnyFigure] = []
    absent, rows = [], []
    for arm, claim in CLAIMS.items():
        found = of_metric([r for r in records if r.arm == arm], *ROLES)
        drawn = _figure(claim, found)
        if drawn is None:
            absent.append(claim.plot.title)
        else:
            verdict = judged.get(arm, {})
            figures.append(drawn._replace(finding=str(verdict.get("sentence") or "")))
            met = _met(verdict)
            rows += [_row(claim, found, name, met) for _, name in drawn.drawn()]
    chi = [record for record in records if record.arm == "chi"]
    phases = make_phase_diagram("theory", PHASES, chi, CLAIM, lambda record: "")
    if phases is None:
        absent.append(PHASES)
    else:
        figures.append(phases)
    return Section(
        "theory",
        "Theory: nine claims, measured",
        "Does what the literature says about gradients at initialisation hold in "
        "networks of this size? Nothing is trained. Dashed: the prediction. Solid: the "
        "measurement. Dotted: a prediction without the claim's approximation.",
        figures,
        Table("The claims in numbers", CAPTION, HEAD, rows) if rows else None,
        absent,
    )


def _figure(claim: Claim, records: list[Record]) -> Figure | None:
    spots = (
        (record, Spot(record.size, role=ROLES[record.metric])) for record in records
    )
    families = {record.family for record in records}
    return make_figure("theory", claim.plot, spots, families)


def _met(verdict: dict[str, Any]) -> dict[str, str]:
    """Return for each line of a claim how many of its points meet the claim."""
    lines = [line for line in items(verdict.get("lines")) if isinstance(line, dict)]
    return {
        str(line.get("line")): f"{line.get('met')} of {line.get('points')}"
        for line in lines
    }


def _row(
    claim: Claim, records: list[Record], family: str, met: dict[str, str]
) -> list[str]:
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
    index = claim.plot.title.partition(".")[0]
    return [
        f"{index}. {claim.name}",
        family,
        claim.source,
        met.get(family, "–"),
        number(last),
        number(predicted.mean) if predicted.seeds else "–",
        number(refined.mean) if refined.seeds else "–",
        interval(over_seeds(points[MEASURED][last])),
        number(distance, 2),
    ]
