"""Verdicts on numbers that are infinite or NaN: how many, and where first."""

import math

from jaxnets.gradflow.diagnosis.verdict import Verdict, select, severity_of
from jaxnets.runs.estimates import estimate
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record


REASON = (
    "One number that is not finite makes all weights not finite at the next update."
)
OTHER_CAUSE = "One broken example in the data gives the same picture: check it first."
REMEDY = (
    "Lower the learning rate or warm it up, clip the gradient's norm, and look for "
    "a logarithm or division that meets zero."
)


def nonfinite_verdicts(records: list[Record]) -> list[Verdict]:
    """Return one verdict for every arm with numbers that are not finite."""
    broken = [record for record in records if _is_broken(record)]
    arms = dict.fromkeys((record.study, record.arm) for record in broken)
    return [
        _arm_verdict(
            select(records, study=study, arm=arm), select(broken, study=study, arm=arm)
        )
        for study, arm in arms
    ]


def _is_broken(record: Record) -> bool:
    if record.metric == "nonfinite_origin":
        return False
    if record.metric == "nonfinite_share":
        return record.value > 0
    # A gradient of exactly zero has vanished, which is another verdict, and biases are
    # zero at first.
    zero_norm = record.value == -math.inf and record.metric.endswith("_norm")
    return not math.isfinite(record.value) and not zero_norm


def without_masks(records: list[Record]) -> list[Record]:
    """Leave out the responses that a mask makes minus infinity on purpose.

    Logits of actions that are not allowed are so. The loss and all gradients are finite
    then, and with a NaN or plus infinity the mean would not be minus infinity.
    """
    place = lambda r: (r.arm, r.seed, r.step, r.place, r.position)
    network = lambda r: place(r)[:3]
    broken = {
        network(record)
        for record in records
        if record.metric.endswith(("loss", "gradient_norm")) and _is_broken(record)
    }
    masked = {
        place(record)
        for record in records
        if record.metric == "response_mean"
        and record.value == -math.inf
        and network(record) not in broken
    }
    return [r for r in records if not (place(r) in masked and _is_broken(r))]


# By operation: what makes it infinite or NaN, and what to do.
OPERATIONS = {
    "log": (
        "The logarithm of zero is minus infinity.",
        "Take the logarithm of a number that cannot be zero: `jax.nn.log_softmax` or "
        "`optax.softmax_cross_entropy` of the logits in place of log(softmax(x)), "
        "`log_sigmoid`, or log(x + epsilon).",
    ),
    "sqrt": (
        "The derivative of a square root is infinite at zero.",
        "Add an epsilon below the root, sqrt(x + 1e-12); or replace zeros by ones "
        "before the root and its result by zero after it, with `jnp.where` twice. The "
        "same holds for a norm.",
    ),
    "exp": (
        "The exponential of a number above 88 overflows in float32.",
        "Subtract the largest number before the exponential: `jax.nn.softmax`, "
        "`jax.nn.log_softmax` and `logsumexp` do so.",
    ),
    "div": (
        "It divides by zero, or an infinity by an infinity.",
        "Add an epsilon to the divisor in the division, or replace a divisor of zero "
        "by one with `jnp.where` before the division. For a softmax by hand use "
        "`jax.nn.softmax`, which does not overflow.",
    ),
}
OVERFLOW = (
    "Its result is larger than the number format holds: 3.4*10^38 in float32 and "
    "bfloat16, 65,504 in float16.",
    "Look at the size of what goes into it: scale the inputs, the weights or the "
    "learning rate down, normalise, or use bfloat16 in place of float16.",
)
LARGE = ("dot_general", "conv_general_dilated", "reduce_sum", "square")
OPERATIONS |= dict.fromkeys(LARGE, OVERFLOW)
OPERATIONS |= {
    name: OPERATIONS[like]
    for name, like in {
        "rsqrt": "sqrt",
        "pow": "sqrt",
        "log1p": "log",
        "exp2": "exp",
        "integer_pow": "div",
    }.items()
}
# Operations whose derivative is infinite where they themselves are finite, or where
# `jnp.where` does not choose them.
DERIVATIVES = {
    "log": (
        "The derivative of a logarithm is infinite at zero, even where `jnp.where` "
        "leaves the logarithm out.",
        "Replace the numbers that are not positive by one before the logarithm: "
        "`jnp.where` once before it and once after it. Or take log(x + epsilon).",
    ),
    "acos": (
        "The derivative of the inverse cosine or sine is infinite at -1 and 1.",
        "Clip its argument to within 1 - 1e-6, or use `jnp.arctan2`.",
    ),
}
DERIVATIVES |= {"log1p": DERIVATIVES["log"], "asin": DERIVATIVES["acos"]}
ORIGINS = {
    "parameter": (
        "A parameter is not finite from the start.",
        "Check the initialiser, or the checkpoint that the parameter comes from.",
    ),
    "argument": (
        "The batch holds numbers that are not finite.",
        "Check the data: replace or leave out NaN and infinite entries.",
    ),
}


def _with_origin(verdict: Verdict, records: list[Record]) -> Verdict:
    """Add which operation makes the first number that is not finite, if it is known."""
    found = select(records, metric="nonfinite_origin")
    if not found:
        return verdict
    tap, _, rest = found[0].place.partition("|")
    operation, _, line = rest.partition("|")
    if operation in ORIGINS:
        cause, remedy = ORIGINS[operation]
        place = f"parameter {line}" if operation == "parameter" else "the batch"
        return verdict._replace(
            where=f"{found[0].arm}, {place}",
            sentence=f"{cause} {verdict.sentence}",
            cause=cause,
            remedy=remedy,
        )
    default = (f"`{operation}` makes the first number that is not finite.", REMEDY)
    backward = bool(found[0].value)
    known = OPERATIONS | DERIVATIVES if backward else OPERATIONS
    cause, remedy = known.get(operation, default)
    way, what = ("backward", "the derivative of ") if backward else ("forward", "")
    at = f" at {line}" if line else ""
    after = f", after {tap}" if tap else ""
    return verdict._replace(
        where=f"{found[0].arm}, in the {way} pass, {operation}{at}{after}",
        sentence=(
            f"In the {way} pass {what}`{operation}`{at}{after} makes the first number "
            f"that is infinite or not a number. {verdict.sentence}"
        ),
        cause=cause,
        remedy=remedy,
    )


def _arm_verdict(records: list[Record], broken: list[Record]) -> Verdict:
    step = min(record.step for record in broken)
    first, where = _origin(select(broken, step=step))
    where = f", {where}" if where else ""
    # Lines that theory predicts belong to no seed.
    seeds = {record.seed for record in records if record.seed >= 0}
    hit = len(seeds & {record.seed for record in broken})
    share = estimate(
        len(select(broken, seed=seed)) / len(select(records, seed=seed))
        for seed in seeds
    )
    share = share and share.within(SHARE)
    verdict = Verdict(
        kind="non-finite",
        severity=severity_of("non-finite"),
        where=f"{first.arm}, all steps{where}",
        number=len(broken) / len(records),
        sentence=(
            f"{len(broken)} of {len(records)} numbers are infinite or not a number, in "
            f"{hit} of {len(seeds)} seeds, first at step {first.step}{where} "
            f"(`{first.metric}`). They are left out of the other verdicts."
        ),
        remedy=REMEDY,
        threshold=0.0,
        study=first.study,
        low=share and share.low,
        high=share and share.high,
        reason=REASON,
        other_cause=OTHER_CAUSE,
    )
    # An origin is known for the network before training only.
    return verdict if step else _with_origin(verdict, records)


def _origin(broken: list[Record]) -> tuple[Record, str]:
    """Return the record at which the failure starts, and where that is in words.

    In the forward pass it starts at the lowest position. If only gradients fail, it
    starts in the backward pass, at the highest position.
    """
    positioned = [record for record in broken if record.position is not None]
    forward = [r for r in positioned if not r.metric.endswith("_norm")]
    if forward:
        first = min(forward, key=lambda record: record.position or 0)
        return first, f"in the forward pass at {_name(first, forward)}"
    if positioned:
        first = max(positioned, key=lambda record: record.position or 0)
        return first, f"in the backward pass at {_name(first, positioned)}"
    return broken[0], ""


def _name(record: Record, others: list[Record]) -> str:
    """Return the name of the tap, with the time step if the tap has several."""
    positions = {r.position for r in others if r.place == record.place}
    if record.place and len(positions) == 1:
        return record.place
    return f"{record.place} {record.position}".strip()
