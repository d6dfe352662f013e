"""Verdicts on saturation: how much of the network passes no gradient on."""

from jaxnets.gradflow.diagnosis.dead import dead_verdict
from jaxnets.gradflow.diagnosis.profiles import TENFOLD, profile
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select, verdict_on
from jaxnets.runs.estimates import Estimate, estimate, over_seeds
from jaxnets.runs.formatting import format_percent, format_power_of_ten, power_of_ten
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record


# If half of all activations are flat, a path through two layers meets a flat one three
# times out of four. ReLU is zero for half of a centred input, so its share is too large
# only if one unit in ten works.
HALF = 0.5
RELU_SHARE = 0.9
REMEDIES = {
    "saturated": "Lower the gain of the initialiser, or normalise each layer.",
    "vanishing": "Raise the gain of the initialiser (He's for ReLU, about 5/3 for "
    "tanh), or normalise each layer.",
    "exploding": "Lower the gain of the initialiser, or normalise each layer.",
    "healthy": "Nothing needs to change here.",
}
SIGMOID_REMEDY = "Use tanh or ReLU instead of sigmoid in hidden layers."
SHARE_REASON = (
    "If half of all units are saturated, a path through two layers meets a saturated "
    "one three times out of four. ReLU is zero for half of a centred input anyway, so "
    "its threshold is nine in ten."
)
FLOW_REASON = (
    "One learning rate serves all layers: if gradients differ tenfold, a rate that "
    "suits one end is wrong for the other."
)
OTHER_CAUSES = {
    "saturated": "Inputs that are not standardised saturate the first layer at any "
    "gain.",
    "vanishing": "Layers of very different sizes also change the norm, by one constant "
    "factor.",
    "exploding": "Layers of very different sizes also change the norm, by one constant "
    "factor.",
    "healthy": "",
}


def judge(records: list[Record]) -> list[Verdict]:
    """Judge every family at every gain, before training."""
    shares = select(records, metric="saturated_share")
    arms = dict.fromkeys((record.family, record.size) for record in shares)
    verdicts = []
    for family, gain in sorted(arms):
        step = min(r.step for r in select(shares, family=family, size=gain))
        first = select(records, family=family, size=gain, step=step)
        where = f"{family}, gain {gain:g}"
        verdicts += [
            _arm_verdict(first, family, f"{where}, {moment(step)}"),
            dead_verdict(first, study="saturation", where=where),
        ]
    return [verdict for verdict in verdicts if verdict]


def _arm_verdict(records: list[Record], family: str, where: str) -> Verdict | None:
    """Judge the records of one arm at one step."""
    share = mean_share(select(records, metric="saturated_share"))
    if share is None:
        return None
    norms = profile(records)
    arrival = estimate(norms.arrivals.values()) if norms else None
    threshold = RELU_SHARE if family == "ReLU" else HALF
    kind = _kind(share, arrival, threshold)
    number = share
    if arrival is not None and kind in ("vanishing", "exploding"):
        number = arrival.map(power_of_ten)
        threshold = power_of_ten(-TENFOLD if kind == "vanishing" else TENFOLD)
    of_sigmoid = kind == "vanishing" and family == "sigmoid"
    return verdict_on(
        kind,
        number,
        where=where,
        sentence=(
            _sentence(family, share, arrival)
            + (" The derivative of the sigmoid is at most 1/4." if of_sigmoid else "")
        ),
        remedy=SIGMOID_REMEDY if of_sigmoid else REMEDIES[kind],
        threshold=threshold,
        study="saturation",
        reason=FLOW_REASON if kind in ("vanishing", "exploding") else SHARE_REASON,
        other_cause=OTHER_CAUSES[kind],
    )


def mean_share(records: list[Record]) -> Estimate | None:
    """Estimate a share over all layers and time steps of the records."""
    found = over_seeds(records)
    return found and found.within(SHARE)


def _kind(share: Estimate, arrival: Estimate | None, threshold: float) -> str:
    if share.interval[0] >= threshold:
        return "saturated"
    if arrival is not None and arrival.interval[1] <= -TENFOLD:
        return "vanishing"
    if arrival is not None and arrival.interval[0] >= TENFOLD:
        return "exploding"
    return "healthy"


def _sentence(family: str, share: Estimate, arrival: Estimate | None) -> str:
    what = "are zero and pass nothing on" if family == "ReLU" else "are saturated"
    sentence = format_percent(share, f" % of the {family} activations {what}")
    if arrival is None:
        return f"{sentence}."
    return (
        f"{sentence}; the first layer receives {format_power_of_ten(arrival.mean)} "
        "times the gradient of the last layer."
    )
