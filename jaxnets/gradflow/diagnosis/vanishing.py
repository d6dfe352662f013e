"""The verdict on one profile: how the gradient changes on its way back, and where."""

from jaxnets.gradflow.diagnosis.profiles import TENFOLD, Profile, kind_of
from jaxnets.gradflow.diagnosis.spans import Span, cuts, onset, steepest, widest
from jaxnets.gradflow.diagnosis.verdict import Verdict
from jaxnets.runs.estimates import Estimate, estimate
from jaxnets.runs.formatting import format_estimate, format_power_of_ten, power_of_ten


REASON = (
    "One learning rate serves all {place}s. Where gradients differ tenfold, as far as "
    "the points of the usual grids of rates, a rate that suits one end is wrong for "
    "the other."
)
OTHER_CAUSES = {
    ("vanishing", "step"): "The task may not need the early steps: an input that the "
    "loss does not depend on gets no gradient from any cell.",
    ("exploding", "step"): "A loss at every step adds to the gradient on its way back, "
    "so it may grow by the number of steps without any factor above 1.",
    ("vanishing", "layer"): "Layers of very different sizes also change the norm, by "
    "one constant factor: a depth twice as large then loses no more.",
    ("exploding", "layer"): "Layers of very different sizes, or a sum in place of a "
    "mean, also change the norm, by one constant factor: it does not grow with depth.",
}
# Of a gradient that is exactly zero from one place on: no size, no rate makes that.
CUT_REMEDY = (
    "Look there for ReLUs that are zero at every input, a step, rounding or argmax, or "
    "a stop_gradient."
)
CUT_CAUSE = (
    "A layer whose weights start at zero passes nothing back before its first update."
)
SIGNS = {"vanishing": -1, "exploding": 1}


def flow_verdict(
    flow: Profile, *, study: str, where: str, place: str, remedies: dict[str, str]
) -> Verdict:
    """Judge one profile; `place` is what its positions count: `block`, `layer`, `step`.

    A fault that one place makes is judged and named by that place; one that all places
    share, by its rate.
    """
    rate = estimate(flow.rates.values())
    ended = cuts(flow.norms)
    if rate is None or ended:
        verdict = _ended(flow, ended, study, where, place)
    else:
        kind = kind_of(rate, flow.length)
        # The loss enters at the last step: into an LSTM's h directly, into earlier ones
        # only through gates. That step is not on the way through time.
        inner = _without_the_last(flow) if place == "step" else flow
        span = _outstanding(inner, kind)
        if span is None:
            verdict = _along(flow, rate, kind, study, where, place)
        else:
            kind = "vanishing" if span.change.mean < 0 else "exploding"
            verdict = _at(flow, span, kind, study, where, place)
    axis = "step" if place == "step" else "layer"
    if ended:
        reason = "What multiplies with zero learns nothing, at any learning rate."
        return verdict._replace(remedy=CUT_REMEDY, reason=reason, other_cause=CUT_CAUSE)
    return verdict._replace(
        remedy=remedies[verdict.kind],
        reason=REASON.format(place=place),
        other_cause=OTHER_CAUSES.get((verdict.kind, axis), ""),
    )


def _outstanding(flow: Profile, kind: str) -> Span | None:
    """Return the stretch that makes the fault, or None where all places share it."""
    if kind in SIGNS:
        total = widest(flow.norms, SIGNS[kind])
        step = steepest(flow.norms, SIGNS[kind])
        # Half of everything in one place out of many: that place stands out.
        most = total and step and abs(step.change.mean) >= abs(total.change.mean) / 2
        return step if most and flow.length > 2 else None
    # The rate over all is within tenfold, or not sure; a part of it may still not be.
    for sign in SIGNS.values():
        span = widest(flow.norms, sign)
        if span is None or sign * span.change.mean < TENFOLD:
            continue
        step = steepest(flow.norms, sign)
        if step and abs(step.change.mean) >= abs(span.change.mean) / 2:
            span = step
        if min(sign * bound for bound in span.change.interval) >= TENFOLD:
            return span
    return None


def _without_the_last(flow: Profile) -> Profile:
    last = max(flow.names)
    rows = flow.norms.items()
    norms = {s: {p: v for p, v in row.items() if p != last} for s, row in rows}
    return flow._replace(norms=norms)


def _ended(
    flow: Profile, ended: dict[int, int], study: str, where: str, place: str
) -> Verdict:
    """Judge a gradient that is exactly zero from some place on."""
    threshold = power_of_ten(-TENFOLD)
    if not ended:
        return Verdict(
            where,
            0.0,
            threshold,
            f"The gradient is exactly zero at {flow.zeros} places and nowhere can its "
            "rate be read: nothing that the first layers do reaches the loss.",
            "",
            "vanishing",
            study,
        )
    last = max(ended.values())
    through = label(flow, _after(flow, last), place)
    return Verdict(
        f"{where}, {through}",
        0.0,
        threshold,
        f"On its way back through {through} the gradient becomes exactly zero, in "
        f"{len(ended)} of {len(flow.norms)} seeds: what comes before it cannot learn.",
        "",
        "vanishing",
        study,
    )


def _at(
    flow: Profile, span: Span, kind: str, study: str, where: str, place: str
) -> Verdict:
    """Judge a fault that one stretch makes."""
    factor = span.change.map(power_of_ten)
    end = label(flow, span.last, place)
    if span.first == _before(flow, span.last):
        stretch, short = f"through {end}", end
    else:
        start = label(flow, span.first, place)
        stretch, short = f"from {end} to {start}", f"{end} to {start}"
    verb = "shrinks" if kind == "vanishing" else "grows"
    effect = (
        "what comes before it hardly takes part in learning"
        if kind == "vanishing"
        else "what comes before it gets steps that are far too large"
    )
    by = format_estimate(factor)
    return Verdict(
        f"{where}, {short}",
        factor.mean,
        power_of_ten(SIGNS[kind] * TENFOLD),
        f"On its way back {stretch} the gradient {verb} by a factor of {by}, most of "
        f"all that it {'loses' if kind == 'vanishing' else 'gains'}: {effect}.",
        "",
        kind,
        study,
        factor.low,
        factor.high,
    )


def _along(
    flow: Profile, rate: Estimate, kind: str, study: str, where: str, place: str
) -> Verdict:
    """Judge a rate that all places share."""
    factor = rate.map(power_of_ten)
    sign = 1 if rate.mean > 0 else -1
    sentence = _sentence(kind, factor, rate.mean * flow.length, flow.length, place)
    begins = onset(flow.norms, sign) if kind in SIGNS else None
    if begins is not None:
        side = "above ten times" if kind == "exploding" else "below a tenth of"
        sentence += f" From {label(flow, begins, place)} back it is {side} the last."
    if flow.zeros:
        sentence += (
            f" At {flow.zeros} places it was too small for the number format and "
            "became exactly zero."
        )
    return Verdict(
        where,
        factor.mean,
        10 ** (sign * TENFOLD / flow.length),
        sentence,
        "",
        kind,
        study,
        factor.low,
        factor.high,
    )


def _sentence(
    kind: str, factor: Estimate, total: float, length: int, place: str
) -> str:
    by = "by a factor of " + format_estimate(factor, unit=f" per {place}")
    over = f"over {length} {place}{'s' if length > 1 else ''}"
    left = format_power_of_ten(total)
    if kind == "vanishing":
        return (
            f"On its way back the gradient shrinks {by}: {over} only {left} of it is "
            f"left, so the first {place}s hardly take part in learning."
        )
    if kind == "exploding":
        return (
            f"On its way back the gradient grows {by}: {over} it becomes {left} times "
            f"as large, so one step that suits the last {place}s is far too large for "
            "the first."
        )
    if kind == "healthy":
        return (
            f"On its way back the gradient changes {by}: {over} by a factor of {left}, "
            f"less than tenfold, so first and last {place}s can learn at one rate."
        )
    return (
        f"On its way back the gradient changes {by}: {over} more than tenfold on "
        "average, but the seeds differ too much to be sure."
    )


def label(flow: Profile, position: int, place: str) -> str:
    """Name a place: by its own name, or by its number where the name is not its own."""
    name = flow.names.get(position, "")
    shared = list(flow.names.values()).count(name) > 1
    return f"{place} {position}" if shared or not name else name


def _after(flow: Profile, position: int) -> int:
    return min(p for p in flow.names if p > position)


def _before(flow: Profile, position: int) -> int:
    return max((p for p in flow.names if p < position), default=position)
