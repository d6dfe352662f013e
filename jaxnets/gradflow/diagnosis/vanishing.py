"""The verdict on a profile: whether the gradient vanishes or explodes, and where."""

from jaxnets.gradflow.diagnosis.profiles import (
    TENFOLD,
    Profile,
    kind_of,
    label,
    quantity_of,
    rate_in_words,
)
from jaxnets.gradflow.diagnosis.spans import Span, cuts, lost, onset, steepest, widest
from jaxnets.gradflow.diagnosis.verdict import Verdict, severity_of, verdict_on
from jaxnets.runs.estimates import Estimate, estimate
from jaxnets.runs.formatting import (
    format_estimate,
    power_of_ten,
)


REASON = (
    "One learning rate serves all {unit}s. Where gradients differ tenfold, as far as "
    "the points of the usual grids of learning rates, a rate that suits one end is "
    "wrong for the other."
)
# By kind, and by whether the profile is along time.
OTHER_CAUSES = {
    ("vanishing", True): "The task may not need the early steps: an input that the "
    "loss does not depend on gets no gradient from any cell.",
    ("exploding", True): "A loss at every step adds to the gradient on its way back, "
    "so it may grow by the number of steps without any factor above 1.",
    ("vanishing", False): "Layers of very different sizes also change the norm, by "
    "one constant factor: a network twice as deep then loses no more.",
    ("exploding", False): "Layers of very different sizes, or a sum in place of a "
    "mean, also change the norm, by one constant factor: it does not grow with depth.",
}
# For a gradient that becomes exactly zero, which no size of weights explains.
CUT_REMEDY = (
    "Look there for ReLUs that are zero at every input, a step, rounding or argmax, or "
    "a stop_gradient."
)
CUT_REASON = "A layer whose gradient is zero learns nothing, at any learning rate."
CUT_CAUSE = (
    "A layer whose weights start at zero passes no gradient before its first update."
)
SIGNS = {"vanishing": -1, "exploding": 1}


def profile_verdict(
    profile: Profile, *, study: str, where: str, unit: str, remedies: dict[str, str]
) -> Verdict:
    """Judge one profile.

    If one layer or step makes the fault, the verdict names it and judges its own
    change; if all of them share it, the verdict judges their rate.

    Args:
        profile: The norms.
        study: The study of the verdict.
        where: What is judged.
        unit: What a position of the profile is: `block`, `layer` or `step`.
        remedies: What to try, by kind.
    """
    rate = estimate(profile.rates.values())
    ended = cuts(profile.norms)
    if ended:
        verdict = _cut(profile, ended, study, where, unit)
        return verdict._replace(
            remedy=CUT_REMEDY, reason=CUT_REASON, other_cause=CUT_CAUSE
        )
    if rate is None:
        verdict = _all_zero(profile, study, where)
    else:
        kind = kind_of(rate, profile.length)
        # The loss reaches h of an LSTM at the last step directly, but at earlier steps
        # only through gates. So the last step is not part of the way through time.
        inner = _without_the_last(profile) if unit == "step" else profile
        span = _span_at_fault(inner, kind)
        if span is None:
            verdict = _along(profile, rate, kind, study, where, unit)
        else:
            verdict = _at(profile, span, study, where, unit)
    return verdict._replace(
        remedy=remedies[verdict.kind],
        reason=REASON.format(unit=unit),
        other_cause=OTHER_CAUSES.get((verdict.kind, unit == "step"), ""),
    )


def _span_at_fault(profile: Profile, kind: str) -> Span | None:
    """Return the span that makes the fault, or None if all positions share it.

    Args:
        profile: The norms.
        kind: The kind of the rate over all positions.
    """
    if kind in SIGNS:
        span = widest(profile.norms, SIGNS[kind])
        step = steepest(profile.norms, SIGNS[kind])
        # One step of many makes at least half of the change, so it is named.
        found = span and step and _makes_half(step, span) and profile.length > 2
        return step if found else None
    # The rate over all positions is within tenfold or not certain. That of a part of
    # them may still be beyond tenfold.
    for sign in SIGNS.values():
        span = widest(profile.norms, sign)
        if span is None or sign * span.change.mean < TENFOLD:
            continue
        step = steepest(profile.norms, sign)
        if step and _makes_half(step, span):
            span = step
        if min(sign * end for end in span.change.interval) >= TENFOLD:
            return span
    return None


def _makes_half(step: Span, span: Span) -> bool:
    return abs(step.change.mean) >= abs(span.change.mean) / 2


def _without_the_last(profile: Profile) -> Profile:
    last = max(profile.names)
    rows = profile.norms.items()
    norms = {s: {p: v for p, v in row.items() if p != last} for s, row in rows}
    return profile._replace(norms=norms)


def _all_zero(profile: Profile, study: str, where: str) -> Verdict:
    """Judge a gradient of which no rate can be computed."""
    return Verdict(
        kind="vanishing",
        severity=severity_of("vanishing"),
        where=where,
        number=0.0,
        sentence=(
            f"The gradient is exactly zero at {profile.zeros} positions, so it has no "
            "rate: nothing that the first layers do reaches the loss."
        ),
        threshold=power_of_ten(-TENFOLD),
        study=study,
    )


def _cut(
    profile: Profile, ended: dict[int, int], study: str, where: str, unit: str
) -> Verdict:
    """Judge a gradient that becomes exactly zero at the positions `ended`, by seed."""
    last = max(ended.values())
    through = label(profile, min(p for p in profile.names if p > last), unit)
    return Verdict(
        kind="vanishing",
        severity=severity_of("vanishing"),
        where=f"{where}, {through}",
        number=0.0,
        sentence=(
            f"On its way back through {through} the gradient becomes exactly zero, in "
            f"{len(ended)} of {len(profile.norms)} seeds: what comes before it cannot "
            "learn."
        ),
        threshold=power_of_ten(-TENFOLD),
        study=study,
    )


def _at(profile: Profile, span: Span, study: str, where: str, unit: str) -> Verdict:
    """Judge a fault that one span makes."""
    vanishing = span.change.mean < 0
    factor = span.change.map(power_of_ten)
    end = label(profile, span.last, unit)
    before = max((p for p in profile.names if p < span.last), default=span.last)
    if span.first == before:
        way, short = f"through {end}", end
    else:
        start = label(profile, span.first, unit)
        way, short = f"from {end} to {start}", f"{end} to {start}"
    effect = (
        "what comes before it hardly takes part in learning"
        if vanishing
        else "what comes before it gets steps that are far too large"
    )
    return verdict_on(
        "vanishing" if vanishing else "exploding",
        factor,
        where=f"{where}, {short}",
        sentence=(
            f"On its way back {way} the gradient "
            f"{'shrinks' if vanishing else 'grows'} by a factor of "
            f"{format_estimate(factor)}, which is most of its "
            f"{'decrease' if vanishing else 'growth'}: {effect}."
        ),
        threshold=power_of_ten(-TENFOLD if vanishing else TENFOLD),
        study=study,
        quantity=quantity_of("gradient_change", profile, span.first, span.last, unit),
    )


def _along(
    profile: Profile, rate: Estimate, kind: str, study: str, where: str, unit: str
) -> Verdict:
    """Judge a rate that all positions share."""
    factor = rate.map(power_of_ten)
    sign = 1 if rate.mean > 0 else -1
    length = profile.length
    sentence = rate_in_words(kind, factor, rate.mean * length, length, unit)
    begins = onset(profile.norms, sign) if kind in SIGNS else None
    if begins is not None:
        side = "exceeds ten times" if kind == "exploding" else "falls below a tenth of"
        sentence += (
            f" At {label(profile, begins, unit)} it first {side} its size at the last "
            f"{unit}."
        )
    if zeros := lost(profile.norms):
        sentence += (
            f" At {zeros} of the {unit}s it was too small for the number format."
        )
    return verdict_on(
        kind,
        factor,
        where=where,
        sentence=sentence,
        threshold=10 ** (sign * TENFOLD / length),
        study=study,
        quantity=quantity_of(
            "gradient_rate", profile, min(profile.names), max(profile.names), unit
        ),
    )
