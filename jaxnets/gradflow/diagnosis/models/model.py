"""Verdicts on a network that a user measured: study `model`, from `flow_records`."""

import math
from collections import defaultdict

from jaxnets.gradflow.diagnosis.chains import chains, states
from jaxnets.gradflow.diagnosis.contrast import arrival_contrast
from jaxnets.gradflow.diagnosis.dead import dead_verdict
from jaxnets.gradflow.diagnosis.models.saturated import saturated_verdict
from jaxnets.gradflow.diagnosis.profiles import TENFOLD, Profile, profile
from jaxnets.gradflow.diagnosis.shattering import shattering_verdict
from jaxnets.gradflow.diagnosis.spans import cuts, widest
from jaxnets.gradflow.diagnosis.studies.overfitting import gap_verdict
from jaxnets.gradflow.diagnosis.studies.time import GATED_REMEDIES
from jaxnets.gradflow.diagnosis.studies.time import REMEDIES as TIME_REMEDIES
from jaxnets.gradflow.diagnosis.vanishing import flow_verdict
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.runs.records import Record


DEPTH_REMEDIES = {
    "vanishing": "Use ReLU instead of sigmoid or tanh, with He's initialiser; add "
    "shortcut connections; or normalise each layer.",
    "exploding": "Lower the gain of the initialiser (He's for ReLU, LeCun's for tanh), "
    "normalise each layer, scale residual branches down, or clip the gradient.",
    "healthy": "Nothing to mend in the gradient's flow. If this network still trains "
    "badly, look at the learning rate and the data first.",
    "unclear": "Run more seeds before you decide.",
}
TIME_REMEDIES = TIME_REMEDIES | {
    "vanishing": TIME_REMEDIES["vanishing"]
    + " In a gated one s"
    + GATED_REMEDIES["vanishing"][1:]
}
Axes = tuple[list[Record], dict[str, list[Record]]]


def model_verdicts(records: list[Record]) -> list[Verdict]:
    """Judge every network at its first and last step, then contrast them."""
    found = select(records, study="model")
    names = list(dict.fromkeys(record.arm for record in found))
    verdicts: list[Verdict] = []
    for name in names:
        rows = select(found, arm=name)
        steps = {record.step for record in rows}
        for step in sorted({min(steps), max(steps)}):
            verdicts += _network_verdicts(select(rows, step=step), name, step)
        gap = gap_verdict(rows, study="model", family=name)
        verdicts += [gap] if gap else []
    for name in names[1:]:
        verdicts += _contrasts(found, names[0], name)
    return verdicts


def _network_verdicts(records: list[Record], name: str, step: int) -> list[Verdict]:
    depth, time = _axes(_finite_forward(records))
    network, *roles = _series(depth) or [[]]
    verdicts: list[Verdict | None] = [_along_depth(network, name, step)]
    # Inside of the blocks only what is wrong, so that a few verdicts say it all.
    # A branch that starts at zero passes nothing back at first; it is not broken.
    alive = [rows for rows in roles if any(r.value > -math.inf for r in rows)]
    inner = [_along_depth(rows, name, step) for rows in alive if _differ(rows)]
    known = {verdict.kind for verdict in verdicts if verdict}
    verdicts += [v for v in inner if v and v.kind in {"vanishing", "exploding"} - known]
    for place, rows in time.items():
        verdicts.append(_along_time(rows, name, place, step))
    # Gates are left out: one that is wide open, and so saturated, remembers well.
    judged = {record.place for record in depth} | time.keys()
    activations = [record for record in records if record.place in judged]
    verdicts += [
        saturated_verdict(activations, study="model", where=name),
        dead_verdict(records, study="model", where=name),
        shattering_verdict(records, study="model", where=name),
    ]
    return [verdict for verdict in verdicts if verdict]


def _finite_forward(records: list[Record]) -> list[Record]:
    """Leave out the seeds that were not finite on the way forward.

    There a gradient of zero is what NaN makes of it, and has not vanished.
    """
    broken = {r.seed for r in select(records, metric="nonfinite_share") if r.value > 0}
    return [record for record in records if record.seed not in broken]


def _differ(records: list[Record]) -> bool:
    """Return whether one role's gradients differ so much that it is a fault.

    They do not lie one behind another. Each is what arrives at its block times what
    the block's own branch makes of it; where tenfold is no fault of one of the two, a
    hundredfold is none of both. In a Transformer of six blocks with their layer norm in
    front, the gradients of the queries differ by 18 between first and last.
    """
    flow = _counted(records)
    if flow is None or cuts(flow.norms):
        return flow is not None
    spans = [widest(flow.norms, sign) for sign in (-1, 1)]
    return any(abs(span.change.mean) >= 2 * TENFOLD for span in spans if span)


def _axes(records: list[Record]) -> Axes:
    """Part the norms into those along depth and, by place, those along time."""
    norms = select(records, metric="log10_gradient_norm")
    positions: defaultdict[str, set[int | None]] = defaultdict(set)
    for record in norms:
        positions[record.place].add(record.position)
    in_time = {place for place, at in positions.items() if len(at) > 1}
    depth = [record for record in norms if record.place not in in_time]
    return depth, {place: select(norms, place=place) for place in states(list(in_time))}


def _series(depth: list[Record]) -> list[list[Record]]:
    ordered = sorted(depth, key=lambda record: record.position or 0)
    places = list(dict.fromkeys(record.place for record in ordered))
    return [
        [record for record in ordered if record.place in series]
        for series in chains(places)
    ]


def _along_depth(records: list[Record], name: str, step: int) -> Verdict | None:
    flow = _counted(records)
    return flow and flow_verdict(
        flow,
        study="model",
        where=f"{name}, {moment(step)}",
        place="layer",
        remedies=DEPTH_REMEDIES,
    )


def _counted(records: list[Record]) -> Profile | None:
    """Return the profile along a series, whose places count from 0 without gaps."""
    places = {r.position for r in records if r.position is not None}
    count = {position: number for number, position in enumerate(sorted(places))}
    return profile(
        [
            record._replace(position=count[record.position])
            for record in records
            if record.position is not None
        ]
    )


def _along_time(
    records: list[Record], name: str, place: str, step: int
) -> Verdict | None:
    flow = profile(records)
    return flow and flow_verdict(
        flow,
        study="model",
        where=f"{name}, {place}, {moment(step)}",
        place="step",
        remedies=TIME_REMEDIES,
    )


def _contrasts(records: list[Record], first: str, second: str) -> list[Verdict]:
    """Contrast two networks along depth, and along time where they share a place."""
    rows = [select(records, arm=name) for name in (first, second)]
    steps = {r.step for r in rows[0]} & {r.step for r in rows[1]}
    if not steps:
        return []
    step = min(steps)
    axes = [_axes(select(row, step=step)) for row in rows]
    depths = [_series(depth) for depth, _ in axes]
    flows: dict[str, tuple[Profile | None, Profile | None]] = {}
    if depths[0] and depths[1]:
        flows["layer"] = _counted(depths[0][0]), _counted(depths[1][0])
    for place in axes[0][1].keys() & axes[1][1].keys():
        flows[f"step of {place}"] = (
            profile(axes[0][1][place]),
            profile(axes[1][1][place]),
        )
    contrasts = [
        arrival_contrast(
            (first, second),
            (one, other),
            study="model",
            where=f"{first} against {second}, {moment(step)}",
            opening=f"The first {what}",
        )
        for what, (one, other) in flows.items()
        if one and other
    ]
    sizes = _sizes(rows, (first, second))
    return [
        c._replace(sentence=c.sentence + sizes, remedy=_remedy(c, first, second))
        for c in contrasts
        if c
    ]


def _sizes(rows: list[list[Record]], names: tuple[str, str]) -> str:
    """Say the parameter counts, since a contrast is fair where they are near."""
    counts = [{r.value for r in select(row, metric="parameter_count")} for row in rows]
    if not (counts[0] and counts[1]):
        return ""
    one, other = (f"{max(count):,.0f}" for count in counts)
    same = one == other
    return (
        f" Both have {one} parameters."
        if same
        else f" Their parameters: {one} ({names[0]}) and {other} ({names[1]})."
    )


def _remedy(contrast: Verdict, first: str, second: str) -> str:
    low = contrast.number if contrast.low is None else contrast.low
    high = contrast.number if contrast.high is None else contrast.high
    if low > 0 or high < 0:
        better = second if low > 0 else first
        return f"Where the gradient's flow decides, prefer {better}."
    return "The two do not differ for sure: run more seeds before you decide."
