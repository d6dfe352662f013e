"""Verdicts on the states of a user's recurrent layers: how far back gradients reach."""

import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from jaxnets.gradflow.diagnosis.profiles import Profile, profile
from jaxnets.gradflow.diagnosis.studies.time import GATED_REMEDIES, OPEN_THE_GATE
from jaxnets.gradflow.diagnosis.studies.time import REMEDIES as STUDY_REMEDIES
from jaxnets.gradflow.diagnosis.table import listed
from jaxnets.gradflow.diagnosis.vanishing import profile_verdict
from jaxnets.gradflow.diagnosis.verdict import Verdict
from jaxnets.runs.records import Record


REMEDIES = STUDY_REMEDIES | {
    "vanishing": "If the cell has no gates, use an LSTM or GRU, or start the recurrent "
    f"weights orthogonal. If it has gates, {OPEN_THE_GATE}"
}
REFERENCES = {
    "vanishing": "Hochreiter and Schmidhuber 1997, Long Short-Term Memory; Gers et al. "
    "2000, Learning to Forget; Jozefowicz et al. 2015, section 2.2, for the bias.",
    "exploding": "Pascanu, Mikolov and Bengio 2013, On the difficulty of training "
    "recurrent neural networks, section 3.2.",
}
# log10 of the precision of float32. The gradient of a recurrent weight is a sum over
# time; what is smaller than this beside the last step's part is lost in rounding.
ROUNDING = -7.0
# log10 of the factor per step below which the memory is two steps long.
SHORT = -0.5
# In powers of ten over the sequence: the rest is what sequences usually show.
WORTH_A_WARNING = 3.0
REASON = (
    "It is a fault if more than half of the steps add less to the gradient than the "
    "rounding of float32 takes away, or if the gradient falls tenfold in two steps."
)


def time_verdicts(
    time: Mapping[str, list[Record]], where: str, arrays: Collection[str] = ()
) -> Iterator[Verdict]:
    """Judge the gradient over time at every state.

    Of several states of one layer, such as h and c of an LSTM, the gradient may choose
    the best way back, so that a fault of one counts only if all have it.

    Args:
        time: By tap, its `log10_gradient_norm` records.
        where: What is judged; `{}` stands for the tap.
        arrays: Paths of the parameters. A tap that has some is a layer of its own, and
            no state of one.
    """
    states: defaultdict[str, dict[str, Profile]] = defaultdict(dict)
    for tap, records in time.items():
        norms = profile(records)
        if norms is not None:
            is_layer = any(array.startswith(f"{tap}/") for array in arrays)
            layer = tap if is_layer else tap.rpartition("/")[0] or tap
            states[layer][tap] = norms
    for taps in states.values():
        # An LSTM has two states. It needs no advice to use an LSTM.
        remedies = GATED_REMEDIES if len(taps) > 1 else REMEDIES
        found = [
            _verdict(norms, where.format(tap), remedies) for tap, norms in taps.items()
        ]
        mildest = min(map(_rank, found))
        kept = [verdict for verdict in found if _rank(verdict) == mildest]
        for kind in dict.fromkeys(verdict.kind for verdict in kept):
            of_kind = [verdict for verdict in kept if verdict.kind == kind]
            is_fault = kind in REFERENCES
            yield from [_of_all_states(of_kind)] if is_fault else of_kind


def _of_all_states(found: list[Verdict]) -> Verdict:
    """Return one verdict for the states of a layer that have the same fault."""
    best = min(found, key=lambda v: abs(math.log(v.number)) if v.number > 0 else 1e9)
    if len(found) == 1:
        return best
    own = best.quantity[1] if best.quantity else ""
    others = [
        v.quantity[1].rpartition("/")[2] for v in found if v.quantity and v != best
    ]
    if not (own and others):
        return best
    words = f" The same holds at {listed(others)}, where it changes more."
    return best._replace(sentence=best.sentence + words)


def _rank(verdict: Verdict) -> int:
    return ["well", "note", "warning", "fault"].index(verdict.severity)


def _verdict(norms: Profile, where: str, remedies: dict[str, str]) -> Verdict:
    verdict = profile_verdict(
        norms, study="model", where=where, unit="step", remedies=remedies
    )
    verdict = verdict._replace(reference=REFERENCES.get(verdict.kind, ""))
    total, middle, rate = _changes(norms)
    if (
        verdict.kind not in REFERENCES
        or verdict.number == 0
        or not math.isfinite(total)
    ):
        return verdict
    if verdict.kind == "vanishing":
        fault = middle <= ROUNDING or rate <= SHORT
    else:
        fault = total >= WORTH_A_WARNING
    warning = abs(total) >= WORTH_A_WARNING
    severity = "fault" if fault else "warning" if warning else "note"
    return verdict._replace(severity=severity, reason=REASON)


def _changes(norms: Profile) -> tuple[float, float, float]:
    """Return log10 of the change over all steps, over the last half, and per step.

    The last step is left out: the loss may reach it directly.
    """
    totals, middles, rates = [], [], []
    for seed, row in norms.norms.items():
        positions = sorted(p for p, value in row.items() if math.isfinite(value))[:-1]
        if len(positions) < 2:
            continue
        last, middle = positions[-1], positions[len(positions) // 2]
        totals.append(row[positions[0]] - row[last])
        middles.append(row[middle] - row[last])
        rates.append(norms.rates[seed])
    if not totals:
        return math.nan, math.nan, math.nan
    return tuple(map(statistics.fmean, (totals, middles, rates)))  # pyright: ignore
