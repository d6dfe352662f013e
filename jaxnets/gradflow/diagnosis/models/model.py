"""Verdicts on a network that a user measured: study `model`, from `flow_records`."""

import math
from collections import defaultdict

from jaxnets.gradflow.diagnosis.contrast import arrival_contrast
from jaxnets.gradflow.diagnosis.dead import dead_verdict
from jaxnets.gradflow.diagnosis.models.chains import chains, states
from jaxnets.gradflow.diagnosis.models.saturated import saturated_verdict
from jaxnets.gradflow.diagnosis.profiles import TENFOLD, Profile, profile
from jaxnets.gradflow.diagnosis.shattering import shattering_verdict
from jaxnets.gradflow.diagnosis.spans import cuts, widest
from jaxnets.gradflow.diagnosis.studies.overfitting import gap_verdict
from jaxnets.gradflow.diagnosis.studies.time import OPEN_THE_GATE
from jaxnets.gradflow.diagnosis.studies.time import REMEDIES as STUDY_REMEDIES
from jaxnets.gradflow.diagnosis.vanishing import profile_verdict
from jaxnets.gradflow.diagnosis.verdict import (
    Verdict,
    first_and_last_step,
    moment,
    select,
)
from jaxnets.runs.records import Record


DEPTH_REMEDIES = {
    "vanishing": "Use ReLU instead of sigmoid or tanh, with He's initialiser; add "
    "shortcut connections; or normalise each layer.",
    "exploding": "Lower the gain of the initialiser (He's for ReLU, LeCun's for tanh), "
    "normalise each layer, scale residual branches down, or clip the gradient.",
    "healthy": "Nothing needs to change in the gradient's flow. If this network still "
    "trains badly, look at the learning rate and the data first.",
    "unclear": "Run more seeds before you decide.",
}
TIME_REMEDIES = STUDY_REMEDIES | {
    "vanishing": f"{STUDY_REMEDIES['vanishing']} In a gated one {OPEN_THE_GATE}"
}


def model_verdicts(records: list[Record]) -> list[Verdict]:
    """Judge every network at its first and last step, then contrast them."""
    names = list(dict.fromkeys(record.arm for record in records))
    verdicts: list[Verdict] = []
    for name in names:
        rows = select(records, arm=name)
        for step in first_and_last_step(rows):
            verdicts += _network_verdicts(select(rows, step=step), name, step)
        gap = gap_verdict(rows, study="model", family=name)
        verdicts += [gap] if gap else []
    for name in names[1:]:
        verdicts += _contrasts(records, names[0], name)
    return verdicts


def _network_verdicts(records: list[Record], name: str, step: int) -> list[Verdict]:
    depth, time = _split(_finite_forward(records))
    network, *roles = _series(depth) or [[]]
    verdicts: list[Verdict | None] = [_along_depth(network, name, step)]
    # Of the taps inside blocks only faults are reported, and only those of a kind that
    # the network itself does not have. A branch that starts at zero passes nothing back
    # at first, which is not a fault.
    nonzero = [rows for rows in roles if any(r.value > -math.inf for r in rows)]
    inner = [_along_depth(rows, name, step) for rows in nonzero if _differ(rows)]
    known = {verdict.kind for verdict in verdicts if verdict}
    verdicts += [v for v in inner if v and v.kind in {"vanishing", "exploding"} - known]
    for tap, rows in time.items():
        verdicts.append(_along_time(rows, name, tap, step))
    # Gates are left out: an open gate is saturated, but passes its state on.
    judged = {record.place for record in depth} | time.keys()
    activations = [record for record in records if record.place in judged]
    verdicts += [
        saturated_verdict(activations, study="model", where=name),
        dead_verdict(records, study="model", where=name),
        shattering_verdict(records, study="model", where=name),
    ]
    return [verdict for verdict in verdicts if verdict]


def _finite_forward(records: list[Record]) -> list[Record]:
    """Leave out the seeds that were not finite in the forward pass.

    Their gradients may be zero because of a NaN, and have not vanished.
    """
    broken = {r.seed for r in select(records, metric="nonfinite_share") if r.value > 0}
    return [record for record in records if record.seed not in broken]


def _differ(records: list[Record]) -> bool:
    """Return whether the gradients of one role differ so much that it is a fault.

    These taps do not follow each other. The gradient at each is the one that
    arrives at its block, times a factor of the block's own branch. Tenfold is no fault
    of either, so a hundredfold is no fault of the product. In a Transformer of six
    blocks with layer norm first, the gradients of the queries differ by a factor of 18
    between the first block and the last.
    """
    norms = _counted(records)
    if norms is None or cuts(norms.norms):
        return norms is not None
    spans = [widest(norms.norms, sign) for sign in (-1, 1)]
    return any(abs(span.change.mean) >= 2 * TENFOLD for span in spans if span)


def _split(records: list[Record]) -> tuple[list[Record], dict[str, list[Record]]]:
    """Return the norms along depth and, by tap, those along time."""
    norms = select(records, metric="log10_gradient_norm")
    positions: defaultdict[str, set[int | None]] = defaultdict(set)
    for record in norms:
        positions[record.place].add(record.position)
    in_time = [tap for tap, found in positions.items() if len(found) > 1]
    depth = [record for record in norms if record.place not in in_time]
    return depth, {tap: select(norms, place=tap) for tap in states(in_time)}


def _series(depth: list[Record]) -> list[list[Record]]:
    """Return the records of each series of taps that can be compared."""
    ordered = sorted(depth, key=lambda record: record.position or 0)
    taps = list(dict.fromkeys(record.place for record in ordered))
    return [
        [record for record in ordered if record.place in series]
        for series in chains(taps)
    ]


def _along_depth(records: list[Record], name: str, step: int) -> Verdict | None:
    norms = _counted(records)
    return norms and profile_verdict(
        norms,
        study="model",
        where=f"{name}, {moment(step)}",
        unit="layer",
        remedies=DEPTH_REMEDIES,
    )


def _counted(records: list[Record]) -> Profile | None:
    """Return the profile along a series, with positions counted from 0 without gaps."""
    positioned = [(r, r.position) for r in records if r.position is not None]
    count = {
        p: n for n, p in enumerate(sorted({position for _, position in positioned}))
    }
    return profile([r._replace(position=count[position]) for r, position in positioned])


def _along_time(
    records: list[Record], name: str, tap: str, step: int
) -> Verdict | None:
    norms = profile(records)
    return norms and profile_verdict(
        norms,
        study="model",
        where=f"{name}, {tap}, {moment(step)}",
        unit="step",
        remedies=TIME_REMEDIES,
    )


def _contrasts(records: list[Record], first: str, second: str) -> list[Verdict]:
    """Contrast two networks along depth, and along time at each tap that both have."""
    rows = [select(records, arm=name) for name in (first, second)]
    steps = {r.step for r in rows[0]} & {r.step for r in rows[1]}
    if not steps:
        return []
    step = min(steps)
    (depth, time), (other_depth, other_time) = (
        _split(select(row, step=step)) for row in rows
    )
    pairs: dict[str, tuple[Profile | None, Profile | None]] = {}
    network, other_network = _series(depth)[:1], _series(other_depth)[:1]
    if network and other_network:
        pairs["layer"] = _counted(network[0]), _counted(other_network[0])
    for tap in (tap for tap in time if tap in other_time):
        pairs[f"step of {tap}"] = profile(time[tap]), profile(other_time[tap])
    contrasts = [
        arrival_contrast(
            (first, second),
            (one, other),
            study="model",
            where=f"{first} against {second}, {moment(step)}",
            opening=f"The first {what}",
        )
        for what, (one, other) in pairs.items()
        if one and other
    ]
    sizes = _sizes(rows, (first, second))
    return [
        c._replace(sentence=c.sentence + sizes, remedy=_remedy(c, first, second))
        for c in contrasts
        if c
    ]


def _sizes(rows: list[list[Record]], names: tuple[str, str]) -> str:
    """Say how many parameters both have, since a contrast is fair if they are near."""
    counts = [{r.value for r in select(row, metric="parameter_count")} for row in rows]
    if not (counts[0] and counts[1]):
        return ""
    one, other = (f"{max(count):,.0f}" for count in counts)
    if one == other:
        return f" Both have {one} parameters."
    return f" Their parameters: {one} ({names[0]}) and {other} ({names[1]})."


def _remedy(contrast: Verdict, first: str, second: str) -> str:
    low, high = contrast.interval
    if low > 0 or high < 0:
        better = second if low > 0 else first
        return f"Where the gradient's flow decides, prefer {better}."
    return "The two do not differ for sure: run more seeds before you decide."
