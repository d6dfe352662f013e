"""Verdicts on a network that a user measured: study `model`, from `flow_records`."""

import math
from collections.abc import Mapping

from jaxnets.gradflow.diagnosis.dead import dead_verdict
from jaxnets.gradflow.diagnosis.models.chains import WOKEN
from jaxnets.gradflow.diagnosis.models.consequences import as_consequence, with_cause
from jaxnets.gradflow.diagnosis.models.contrasts import contrasts
from jaxnets.gradflow.diagnosis.models.depth import (
    FEWEST,
    FEWEST_OF_BRANCH,
    REFERENCES,
    depth_verdict,
    remedies_for,
)
from jaxnets.gradflow.diagnosis.models.detached import asleep, detached_verdicts
from jaxnets.gradflow.diagnosis.models.probed import (
    backward_verdicts,
    padding_verdict,
    rank_verdict,
)
from jaxnets.gradflow.diagnosis.models.saturated import (
    attention_verdict,
    dead_units_verdict,
    is_activation,
    is_cut,
    saturated_verdict,
    zero_verdict,
)
from jaxnets.gradflow.diagnosis.models.series import (
    activation_of,
    counted,
    renumbered,
    series,
    split,
    woken_later,
)
from jaxnets.gradflow.diagnosis.models.time import time_verdicts
from jaxnets.gradflow.diagnosis.profiles import TENFOLD
from jaxnets.gradflow.diagnosis.shattering import shattering_verdict
from jaxnets.gradflow.diagnosis.spans import cuts, widest
from jaxnets.gradflow.diagnosis.studies.overfitting import gap_verdict
from jaxnets.gradflow.diagnosis.table import Table
from jaxnets.gradflow.diagnosis.training.losses import loss_verdicts
from jaxnets.gradflow.diagnosis.training.rates import rate_verdict
from jaxnets.gradflow.diagnosis.training.steps import step_verdicts
from jaxnets.gradflow.diagnosis.unnamed import unnamed_verdict
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
        rows, count = select(records, arm=name), len(verdicts)
        rows += woken_later(rows)
        for step in first_and_last_step(_judged(rows)):
            verdicts += _network_verdicts(select(rows, step=step), rows, name, step)
        of_loss = list(loss_verdicts(rows, name))
        # A loss without a floor has no right rate.
        signed = any("sign of the loss" in verdict.where for verdict in of_loss)
        rate = None if signed else rate_verdict(rows, name)
        own = verdicts[count:] + of_loss + ([rate] if rate else [])
        too_high = rate is not None and rate.kind == "rate-too-high"
        own += step_verdicts(rows, name, too_high=too_high)
        verdicts[count:] = [
            as_consequence(with_cause(verdict, own), own) for verdict in own
        ]
        gap = gap_verdict(rows, study="model", family=name)
        verdicts += [gap] if gap else []
    for name in names[1:]:
        verdicts += contrasts(records, names[0], name)
    return verdicts


def _judged(records: list[Record]) -> list[Record]:
    """Return the records of the steps at which the network was measured as a whole."""
    return select(records, metric="log10_gradient_norm") or records


def _network_verdicts(
    records: list[Record], all_steps: list[Record], name: str, step: int
) -> list[Verdict]:
    records = _finite_forward(records)
    where = f"{name}, {moment(step)}"
    depth, time = split(records)
    table = Table(records)
    if table.places(WOKEN) and not asleep(table):
        # Behind a part that starts at zero and wakes up no gradient is lost.
        some = lambda rows: any(math.isfinite(record.value) for record in rows)
        time = {tap: rows for tap, rows in time.items() if some(rows)}
    network, *others = series(depth, all_steps) or [[]]
    verdicts: list[Verdict | None] = [_along_depth(network, all_steps, table, where)]
    # Of the other series only faults are reported, and only those of a kind that the
    # network itself does not have.
    structured = bool(select(all_steps, metric="chain"))
    inner = [
        _along_depth(rows, all_steps, table, where, FEWEST_OF_BRANCH)
        for rows in others
        if structured or _differ(rows)
    ]
    known = {verdict.kind for verdict in verdicts if verdict}
    found = {v.kind: v for v in inner if v and v.kind in REFERENCES.keys() - known}
    verdicts += found.values()
    arrays = table.places("log10_array_gradient_norm")
    verdicts += time_verdicts(time, f"{name}, {{}}, {moment(step)}", arrays)
    may_be_flat = select(all_steps, metric="may_be_flat")
    meant = dict(record.place.split("|", 1) for record in may_be_flat)
    verdicts += _unit_verdicts(records, table, depth, time, where, meant)
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
    meant: Mapping[str, str],
) -> list[Verdict | None]:
    """Judge dead and saturated units: after activations if they are known."""
    metrics = ("dead_share", "flat_share", "off_share")
    if any(is_activation(place) for m in metrics for place in table.places(m)):
        dead = dead_units_verdict(table, where)
        zero = None if dead else zero_verdict(table, where)
        flat = saturated_verdict(table, where, meant)
        return [dead, zero, flat or attention_verdict(table, where)]
    if table.places("effective_rank") or table.places("array_zero_share"):
        return []  # `collect` has looked for all activations, and there are none.
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
    norms = counted(records)
    if norms is None or cuts(norms.norms):
        return norms is not None
    spans = [widest(norms.norms, sign) for sign in (-1, 1)]
    return any(abs(span.change.mean) >= 2 * TENFOLD for span in spans if span)


def _along_depth(
    records: list[Record],
    all_steps: list[Record],
    table: Table,
    where: str,
    fewest: int = FEWEST,
) -> Verdict | None:
    activation = activation_of(all_steps, {record.place for record in records})
    # A gradient of zero is named where its arrays are known. Without them it shows as
    # the end of a profile.
    if not table.places("log10_array_gradient_norm"):
        norms = counted(records)
        if norms and (cuts(norms.norms) or all(map(math.isnan, norms.rates.values()))):
            remedies = remedies_for(activation)
            options = {"study": "model", "unit": "layer", "remedies": remedies}
            return profile_verdict(norms, where=where, **options)
    return depth_verdict(
        renumbered(records), table, where=where, activation=activation, fewest=fewest
    )
