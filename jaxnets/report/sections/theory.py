"""The study of theory: nine claims, each as a prediction and a measurement."""

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


def theory_section(records: list[Record], verdicts: list[dict[str, Any]]) -> Section:
    """Return the section of the study `theory`.

    Args:
        records: Those of the study.
        verdicts: What the run's summary says of its claims.
    """
    judged = {verdict.get("claim"): verdict for verdict in verdicts}
    figures: list[AnyFigure] = []
    absent, rows = [], []
    for arm, claim in CLAIMS.items():
        theirs = of_metric([r for r in records if r.arm == arm], *ROLES)
        drawn = _figure(claim, theirs)
        if drawn is None:
            absent.append(claim.plot.title)
        else:
            verdict = judged.get(arm, {})
            figures.append(drawn._replace(finding=str(verdict.get("sentence") or "")))
            met = _met(verdict)
            rows += [_row(claim, theirs, name, met) for _, name in drawn.drawn()]
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
        "networks of this size? Nothing is trained; dashed is the prediction, solid "
        "the measurement, dotted a prediction without the claim's approximation.",
        figures,
        Table("The claims", CAPTION, HEAD, rows) if rows else None,
        absent,
    )


def _figure(claim: Claim, records: list[Record]) -> Figure | None:
    spots = (
        (record, Spot(record.size, role=ROLES[record.metric])) for record in records
    )
    families = {record.family for record in records}
    return make_figure("theory", claim.plot, spots, families)


def _met(verdict: dict[str, Any]) -> dict[str, str]:
    """Return at how many points each line of a claim is met, as the run judged it."""
    lines = [line for line in items(verdict.get("lines")) if isinstance(line, dict)]
    return {
        str(line.get("line")): f"{line.get('met')} of {line.get('points')}"
        for line in lines
    }


def _row(
    claim: Claim, records: list[Record], family: str, met: dict[str, str]
) -> list[str]:
    places = {role: defaultdict(list) for role in ROLES.values()}
    for record in records:
        if record.family == family:
            places[ROLES[record.metric]][record.size].append(record)
    lines = {role: make_line(family, role, theirs) for role, theirs in places.items()}
    distance = misfit(lines[MEASURED], lines[PREDICTED])
    last = max((*places[MEASURED], *places[PREDICTED]))
    predicted, refined = (
        over_seeds(places[role].get(last, [])) for role in (PREDICTED, REFINED)
    )
    number_of_claim, *_ = claim.plot.title.split(".")
    return [
        f"{number_of_claim}. {claim.name}",
        family,
        claim.source,
        met.get(family, "–"),
        number(last),
        number(predicted.mean) if predicted.seeds else "–",
        number(refined.mean) if refined.seeds else "–",
        interval(over_seeds(places[MEASURED][last])),
        number(distance, 2),
    ]
