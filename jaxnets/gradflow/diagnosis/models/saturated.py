"""Verdicts on layers of a measured network that are flat, dead or collapsed."""

from collections.abc import Iterable, Mapping

from jaxnets.gradflow.diagnosis.dead import OTHER_CAUSE as DEAD_CAUSE
from jaxnets.gradflow.diagnosis.dead import REASON as DEAD_REASON
from jaxnets.gradflow.diagnosis.dead import REMEDY as DEAD_REMEDY
from jaxnets.gradflow.diagnosis.dead import THRESHOLD as DEAD
from jaxnets.gradflow.diagnosis.studies.saturation import (
    HALF,
    OTHER_CAUSES,
    RELU_SHARE,
    SHARE_REASON,
)
from jaxnets.gradflow.diagnosis.table import Table, module_of
from jaxnets.gradflow.diagnosis.verdict import Verdict, severity_of, verdict_on
from jaxnets.runs.estimates import Estimate
from jaxnets.runs.formatting import format_number, format_percent
from jaxnets.runs.intervals import SHARE


# The activations that a share is of, by the last name of its place.
FLAT = ("tanh", "sigmoid", "softmax", "activation")
RECTIFIED = ("relu", "relu6")
_LOWER = (
    "Lower the gain of the initialiser; standardise the inputs; normalise each layer "
    "before the activation"
)
SATURATED_REMEDIES = {
    "tanh": f"{_LOWER}.",
    "sigmoid": f"{_LOWER}; in hidden layers use ReLU.",
    "activation": f"{_LOWER}.",
    "softmax": "Scale the logits down: divide them by the square root of the width of "
    "the keys (1/sqrt(d)); normalise queries and keys (query-key norm, such as "
    "normalize_qk=True in nnx.MultiHeadAttention); lower the gain of the initialiser "
    "of queries and keys.",
}
REFERENCES = dict.fromkeys(FLAT, "Glorot and Bengio 2010, section 3.") | {
    "softmax": "Vaswani et al. 2017, Attention Is All You Need, section 3.2.1.",
    "relu": "Lu et al. 2019, Dying ReLU and Initialization; He et al. 2015, Delving "
    "Deep into Rectifiers.",
}
ZERO_REMEDY = (
    "Draw the weights at random, with He's initialiser; only the last layer of the "
    "network or of a residual branch may start at zero."
)
# The entropy of an attention, relative to that of equal weights. With 100 keys it is
# that of looking at 100^0.1 = 1.6 of them.
COLLAPSED = 0.1
TOO_LARGE = (
    "The products of queries and keys are too large: attention entropy collapse."
)
ATTENTION = (
    "Zhai et al. 2023, Stabilizing Transformer Training by Preventing Attention "
    "Entropy Collapse; Dehghani et al. 2023, Scaling Vision Transformers to 22 Billion "
    "Parameters, section 2."
)
# A layer with every unit dead passes nothing. With fewer it is narrower than it seems.
SEVERE = 0.75


def saturated_verdict(
    records: Table, where: str, meant: Mapping[str, str]
) -> Verdict | None:
    """Judge the share of saturated values after every tanh, sigmoid and softmax.

    Args:
        records: The numbers of one network at one step.
        where: What is judged.
        meant: The places that may be flat, each with "log" or "gate".

    Returns:
        A verdict on the first layer that is saturated, or None if none is beyond half.
        Outputs whose logarithm is the loss are left out, and gates have a note.
    """
    shares = _shares(records, "flat_share", FLAT)
    flat = {p: s for p, s in shares.items() if s.interval[0] >= HALF}
    gates = {p: s for p, s in flat.items() if meant.get(p) == "gate"}
    flat = {p: s for p, s in flat.items() if p not in meant}
    if not flat:
        return _gate_verdict(gates, where) if gates else None
    # What comes after a saturated layer may saturate because of it.
    place, share = next(iter(flat.items()))
    kind = place.rpartition("/")[2].partition("#")[0]
    more = f" This holds at {len(flat)} of {len(shares)} activations." * (len(flat) > 1)
    cause = f"The inputs of the {kind} after {module_of(place)} are too large."
    reference = REFERENCES[kind]
    if size := records.estimate("attention_logit_size", place):
        more += f" Its largest logit exceeds the mean by {format_number(size.mean)}."
        cause, reference = TOO_LARGE, f"{reference} {ATTENTION}"
    return verdict_on(
        "saturated",
        share,
        severity=severity_of("saturated") if share.mean >= SEVERE else "warning",
        where=f"{where}, {place}",
        sentence=(
            f"At {place} {format_percent(share, ' % of the outputs')} of the {kind} "
            f"are saturated: there it is flat and passes almost no gradient.{more}"
        ),
        cause=cause,
        remedy=SATURATED_REMEDIES[kind],
        reference=reference,
        threshold=HALF,
        reason=SHARE_REASON,
        other_cause=OTHER_CAUSES["saturated"],
        quantity=("flat_share", place),
    )


def _gate_verdict(gates: dict[str, Estimate], where: str) -> Verdict:
    """Return the note on gates that are shut or open nearly everywhere."""
    place, share = next(iter(gates.items()))
    return verdict_on(
        "saturated",
        share,
        severity="note",
        where=f"{where}, {place}",
        sentence=(
            f"At {place} {format_percent(share, ' % of the outputs')} of a gate are "
            "next to 0 or 1: it is shut or open, and learns slowly."
        ),
        remedy="Nothing, if the gate is meant to start like this, as those of a "
        "highway network are. Else start its bias closer to zero.",
        reference="Srivastava et al. 2015, Highway Networks, section 2.",
        threshold=HALF,
        quantity=("flat_share", place),
    )


def attention_verdict(records: Table, where: str) -> Verdict | None:
    """Judge the entropy of every attention."""
    for place in records.places("attention_entropy"):
        entropy = records.estimate("attention_entropy", place)
        size = records.estimate("attention_logit_size", place)
        if entropy is None or size is None:
            continue
        entropy = entropy.within(SHARE)
        if entropy.interval[1] > COLLAPSED:
            continue
        return verdict_on(
            "saturated",
            entropy,
            severity="warning",
            where=f"{where}, {place}",
            sentence=(
                f"The attention at {place} looks at hardly more than one key: its "
                f"entropy is {format_percent(entropy, ' % of that of equal weights')}, "
                f"and its largest logit exceeds the mean by {format_number(size.mean)}."
            ),
            cause=TOO_LARGE,
            remedy=SATURATED_REMEDIES["softmax"],
            reference=ATTENTION,
            threshold=COLLAPSED,
            reason="At a tenth of the entropy of equal weights a query looks at 1 to 2 "
            "of 100 keys, and the gradient of its logits is near zero.",
            other_cause="A trained head may look at one key on purpose, such as the "
            "word before.",
            quantity=("attention_entropy", place),
        )
    return None


def dead_units_verdict(records: Table, where: str) -> Verdict | None:
    """Judge the share of dead units after every ReLU.

    Args:
        records: The numbers of one network at one step.
        where: What is judged.

    Returns:
        A verdict on the first layer with too many dead units, or None.
    """
    shares = _shares(records, "dead_share", RECTIFIED)
    dead = {p: s for p, s in shares.items() if s.interval[0] >= DEAD}
    if not dead:
        return None
    place, share = next(iter(dead.items()))
    more = f" It is the first of {len(dead)} such layers out of {len(shares)}."
    module = module_of(place)
    cause, remedy = (
        f"The ReLU gets negative numbers from {module} at every input.",
        DEAD_REMEDY,
    )
    if _has_zero_weights(records, module):
        cause, remedy = f"All parameters of {module} are zero.", ZERO_REMEDY
    return verdict_on(
        "dead",
        share,
        where=f"{where}, {place}",
        sentence=(
            f"At {place} {format_percent(share, ' % of the ReLU units')} are zero at "
            "every input: they get no gradient, so they cannot come back by themselves."
            f"{more * (len(dead) > 1)}"
        ),
        cause=cause,
        remedy=remedy,
        reference=REFERENCES["relu"],
        threshold=DEAD,
        reason=DEAD_REASON,
        other_cause=DEAD_CAUSE,
        quantity=("dead_share", place),
    )


def _has_zero_weights(records: Table, module: str) -> bool:
    """Return whether all arrays of a module are exactly zero."""
    norm = "log10_array_weight_norm"
    arrays = [a for a in records.places(norm) if module_of(a) == module]
    return bool(arrays) and all(records.all_zero(norm, a) for a in arrays)


def is_cut(records: Table) -> bool:
    """Return whether a layer is dead as a whole, so that nothing passes through it."""
    shares = _shares(records, "dead_share", RECTIFIED)
    return any(share.interval[0] >= 1 for share in shares.values())


def zero_verdict(records: Table, where: str) -> Verdict | None:
    """Judge ReLUs that are zero for nearly all inputs, without being dead."""
    shares = _shares(records, "off_share", RECTIFIED)
    for place, share in shares.items():
        if share.interval[0] >= RELU_SHARE:
            return verdict_on(
                "saturated",
                share,
                severity="warning",
                where=f"{where}, {place}",
                sentence=(
                    f"At {place} {format_percent(share, ' % of the outputs')} are "
                    "exactly zero: there ReLU passes no gradient."
                ),
                cause=f"The ReLU gets mostly negative numbers from {module_of(place)}.",
                remedy=DEAD_REMEDY,
                reference=REFERENCES["relu"],
                threshold=RELU_SHARE,
                reason=SHARE_REASON,
                quantity=("off_share", place),
            )
    return None


def is_activation(place: str) -> bool:
    """Return whether a place is that of an activation, such as `body/3/relu`."""
    return place.rpartition("/")[2].partition("#")[0] in {*FLAT, *RECTIFIED}


def _shares(records: Table, metric: str, kinds: Iterable[str]) -> dict[str, Estimate]:
    """Return the share at each place that ends with the name of an activation."""
    found = {}
    for place in records.places(metric):
        last = place.rpartition("/")[2].partition("#")[0]
        share = records.estimate(metric, place) if last in kinds else None
        if share is not None:
            found[place] = share.within(SHARE)
    return found
