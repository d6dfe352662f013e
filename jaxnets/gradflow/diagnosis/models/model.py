"""Verdicts on a network that a user measured: study `model`, from `flow_records`."""

import math
from collections import defaultdict

from jaxnets.gradflow.diagnosis.contrast import arrival_contrast
from jaxnets.gradflow.diagnosis.dead import dead_verdict
from jaxnets.gradflow.diagnosis.models.chains import chains, states
from jaxnets.gradflow.diagnosis.models.depth import REFERENCES, depth_verdict
from jaxnets.gradflow.diagnosis.models.depth import REMEDIES as DEPTH_REMEDIES
from jaxnets.gradflow.diagnosis.models.detached import detached_verdicts
from jaxnets.gradflow.diagnosis.models.probed import backward_verdicts, padding_verdict
from jaxnets.gradflow.diagnosis.models.ranks import rank_verdict
from jaxnets.gradflow.diagnosis.models.rates import rate_verdict
from jaxnets.gradflow.diagnosis.models.saturated import (
    dead_units_verdict,
    is_activation,
    is_cut,
    saturated_verdict,
    zero_verdict,
)
from jaxnets.gradflow.diagnosis.models.table import Table
from jaxnets.gradflow.diagnosis.models.time import time_verdicts
from jaxnets.gradflow.diagnosis.models.unnamed import unnamed_verdict
from jaxnets.gradflow.diagnosis.profiles import TENFOLD, Profile, profile
from jaxnets.gradflow.diagnosis.shattering import shattering_verdict
from jaxnets.gradflow.diagnosis.spans import cuts, widest
from jaxnets.gradflow.diagnosis.studies.overfitting import gap_verdict
from jaxnets.gradflow.diagnosis.vanishing import profile_verdict
from jaxnets.gradflow.diagnosis.verdict import (
    Verdict,
    first_and_last_step,
    moment,
    select,
)
from jaxnets.runs.records import Record


def model_verdicts(records: list[Record]) -> list[Verdict]:
    """Judge every network at its first and last step, then contrast them."""
    names = list(dict.fromkeys(record.arm for record in records))
    verdicts: list[Verdict] = []
    for name in names:
        rows = select(records, arm=name)
        for step in first_and_last_step(_judged(rows)):
            verdicts += _network_verdicts(select(rows, step=step), rows, name, step)
        rate = rate_verdict(rows, name)
        verdicts += [rate] if rate else []
        gap = gap_verdict(rows, study="model", family=name)
        verdicts += [gap] if gap else []
    for name in names[1:]:
        verdicts += _contrasts(records, names[0], name)
    return verdicts


def _judged(records: list[Record]) -> list[Record]:
    """Return the records of the steps at which the network was measured as a whole."""
    return select(records, metric="log10_gradient_norm") or records


def _network_verdicts(
    records: list[Record], all_steps: list[Record], name: str, step: int
) -> list[Verdict]:
    records = _finite_forward(records)
    where = f"{name}, {moment(step)}"
    depth, time = _split(records)
    table = Table(records)
    network, *others = _series(depth, all_steps) or [[]]
    verdicts: list[Verdict | None] = [_along_depth(network, table, where)]
    # Of the other series only faults are reported, and only those of a kind that the
    # network itself does not have.
    structured = bool(select(all_steps, metric="chain"))
    inner = [
        _along_depth(rows, table, where)
        for rows in others
        if structured or _differ(rows)
    ]
    known = {verdict.kind for verdict in verdicts if verdict}
    found = {v.kind: v for v in inner if v and v.kind in REFERENCES.keys() - known}
    verdicts += found.values()
    verdicts += time_verdicts(time, f"{name}, {{}}, {moment(step)}")
    verdicts += _unit_verdicts(records, table, depth, time, where)
    chain = list(dict.fromkeys(r.place for r in network))
    verdicts.append(rank_verdict(table, chain, where))
    if step == 0:
        verdicts += detached_verdicts(
            table, where, dead=is_cut(table), blocked=_blocked(all_steps)
        )
        verdicts += backward_verdicts(table, where)
        verdicts.append(padding_verdict(table, where))
    verdicts.append(shattering_verdict(records, study="model", where=name))
    return [verdict for verdict in verdicts if verdict]


def _unit_verdicts(
    records: list[Record],
    table: Table,
    depth: list[Record],
    time: dict[str, list[Record]],
    where: str,
) -> list[Verdict | None]:
    """Judge dead and saturated units: after activations if they are known."""
    metrics = ("dead_share", "flat_share", "off_share")
    if any(is_activation(place) for m in metrics for place in table.places(m)):
        dead = dead_units_verdict(table, where)
        zero = None if dead else zero_verdict(table, where)
        return [dead, zero, saturated_verdict(table, where)]
    if table.places("effective_rank"):
        return []  # All activations were looked for, and there are none.
    # Gates are left out: an open gate is saturated, but passes its state on.
    judged = {record.place for record in depth} | time.keys()
    activations = [record for record in records if record.place in judged]
    name = where.rpartition(", ")[0]
    return [
        unnamed_verdict(activations, study="model", where=name),
        dead_verdict(records, study="model", where=name),
    ]


def _blocked(records: list[Record]) -> dict[str, tuple[str, str]]:
    """Return the reason and the line of what ends the gradient, by parameter."""
    found = {}
    for record in select(records, metric="blocked"):
        path, _, rest = record.place.partition("|")
        reason, _, line = rest.partition("|")
        found[path] = reason, line
    return found


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
    if all(record.value == -math.inf for record in records):
        return False  # A branch that starts at zero passes nothing back at first.
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


def _series(depth: list[Record], records: list[Record]) -> list[list[Record]]:
    """Return the records of each series of taps that can be compared.

    The series are those of the records `chain`, or else come from the names.
    """
    chained = select(records, metric="chain")
    if chained:
        numbers = sorted({record.value for record in chained})
        found = []
        for number in numbers:
            places = {r.place: r.position for r in chained if r.value == number}
            rows = [
                r._replace(position=places[r.place]) for r in depth if r.place in places
            ]
            found.append(rows)
        return found
    ordered = sorted(depth, key=lambda record: record.position or 0)
    taps = list(dict.fromkeys(record.place for record in ordered))
    return [
        [record for record in ordered if record.place in series]
        for series in chains(taps)
    ]


def _along_depth(records: list[Record], table: Table, where: str) -> Verdict | None:
    # A gradient of zero is named where its arrays are known. Without them it shows as
    # the end of a profile.
    if not table.places("log10_array_gradient_norm"):
        norms = _counted(records)
        if norms and (cuts(norms.norms) or all(map(math.isnan, norms.rates.values()))):
            options = {"study": "model", "unit": "layer", "remedies": DEPTH_REMEDIES}
            return profile_verdict(norms, where=where, **options)
    return depth_verdict(_renumbered(records), table, where=where)


def _renumbered(records: list[Record]) -> list[Record]:
    """Return the records of a series with positions from 0 without gaps."""
    positioned = [(r, r.position) for r in records if r.position is not None]
    count = {
        p: n for n, p in enumerate(sorted({position for _, position in positioned}))
    }
    return [r._replace(position=count[position]) for r, position in positioned]


def _counted(records: list[Record]) -> Profile | None:
    """Return the profile along a series, with positions counted from 0 without gaps."""
    return profile(_renumbered(records))


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
    network = _series(depth, rows[0])[:1]
    other_network = _series(other_depth, rows[1])[:1]
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
