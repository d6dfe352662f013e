"""Verdicts on the loss itself: squashed twice, or of the wrong sign."""

import math
import statistics
from collections.abc import Iterator

from jaxnets.gradflow.diagnosis.training.rates import loss_curves
from jaxnets.gradflow.diagnosis.verdict import Verdict, select, verdict_on
from jaxnets.runs.estimates import Estimate, over_seeds
from jaxnets.runs.formatting import format_estimate, format_number
from jaxnets.runs.records import Record


# A loss has no floor if it falls this many times its own size below zero, ever faster.
FALLEN = 10.0
REFERENCE = "Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.2.2."
# By activation: what the loss applies again, and what takes the logits.
LOSSES = {
    "softmax": (
        "a softmax of a softmax",
        "Return the logits from the model, and keep the softmax of the loss "
        "(`optax.softmax_cross_entropy`); or keep the softmax of the model, and take "
        "the negative logarithm of its results.",
    ),
    "sigmoid": (
        "a sigmoid of a sigmoid",
        "Return the logits from the model, and keep the sigmoid of the loss "
        "(`optax.sigmoid_binary_cross_entropy`); or keep the sigmoid of the model, and "
        "take the logarithm of its results.",
    ),
}


def loss_verdicts(records: list[Record], name: str) -> Iterator[Verdict]:
    """Judge the loss of one network.

    Args:
        records: The records of the network at all steps.
        name: Its name.
    """
    twice = select(records, metric="squashed_twice")
    loss = over_seeds(select(records, metric="loss", step=0))
    if twice and loss is not None:
        kind, _, line = twice[0].place.partition("|")
        what, remedy = LOSSES[kind]
        at = f" at {line}" if line else ""
        floor = _floor(records) if kind == "softmax" else None
        yield verdict_on(
            "wrong-loss",
            loss,
            where=f"{name}, loss{at}",
            sentence=(
                f"The loss takes {what}{at}: numbers between 0 and 1 serve as logits. "
                f"It starts at {format_estimate(loss)}, and "
                + (
                    f"cannot fall below {format_number(floor)}, which it has if every "
                    "answer is right and certain."
                    if floor is not None
                    else "cannot come near zero, because no answer is ever certain."
                )
            ),
            cause=f"The model returns probabilities, and the loss wants logits{at}.",
            remedy=remedy,
            reference=REFERENCE,
            threshold=math.nan if floor is None else floor,
            reason="The loss of certain and right answers is ln(1 + (classes - 1) / e) "
            "for a softmax of probabilities, and 0 for one of logits."
            if floor is not None
            else "",
        )
    if sign := sign_verdict(records, name):
        yield sign


def _floor(records: list[Record]) -> float | None:
    """Return the least cross-entropy of a softmax of probabilities."""
    classes = select(records, metric="classes")
    if not classes:
        return None
    return math.log1p((classes[0].value - 1) / math.e)


def sign_verdict(records: list[Record], name: str) -> Verdict | None:
    """Judge whether a loss has the wrong sign: negative, or without a floor.

    Args:
        records: The records of the network at all steps.
        name: Its name.
    """
    start = over_seeds(select(records, metric="loss", step=0))
    if start is None:
        return None
    is_entropy = bool(select(records, metric="classes"))
    curves, how = loss_curves(records), "falls"
    if not any(map(_has_no_floor, curves)):
        curves, how = _along_gradient(records), "falls along its negative gradient"
    fallen = [curve for curve in curves if _has_no_floor(curve)]
    certain = is_entropy or any(not math.isfinite(curve[-1]) for curve in fallen)
    sentence = f"The loss starts at {format_estimate(start)}"
    if len(fallen) > len(curves) / 2:
        lowest = statistics.median(map(_lowest, fallen))
        found = Estimate(lowest, None, None, len(fallen))
        end = "minus infinity" if lowest == -math.inf else format_number(lowest)
        sentence += f" and {how} to {end}, ever faster: nothing bounds it from below."
    elif is_entropy and start.mean < 0:
        found = start
        sentence += ". A cross-entropy is never negative."
    else:
        return None
    return verdict_on(
        "wrong-loss",
        found,
        severity="fault" if certain else "warning",
        where=f"{name}, sign of the loss",
        sentence=sentence,
        cause="The loss has the wrong sign: it minimises what should become large.",
        remedy="Change the sign of the loss: minimise the negative log-likelihood, or "
        "minus what should be maximised.",
        reference=REFERENCE,
        threshold=0.0,
        reason="A loss that training can lower without end has no best parameters.",
        other_cause="A log-density, a lower bound of one, and the loss of a critic or "
        "of a policy gradient may be negative, and may fall far.",
    )


def _along_gradient(records: list[Record]) -> list[list[float]]:
    """Return the losses at longer and longer steps along the gradient, of each seed."""
    found: dict[int, list[float]] = {}
    for record in select(records, metric="loss_along_gradient"):
        found.setdefault(record.seed, []).append(record.value)
    return list(found.values())


def _lowest(curve: list[float]) -> float:
    return min(value for value in curve if not math.isnan(value))


def _has_no_floor(curve: list[float]) -> bool:
    """Return whether a loss falls below zero, ever faster, as far as it is a number.

    Example:
        >>> _has_no_floor([-2.0, -9.0, -40.0, -200.0]), _has_no_floor([3.0, -2.0])
        (True, False)
    """
    if not math.isfinite(curve[0]):
        return False
    usable: list[float] = []
    for value in curve:
        if math.isnan(value) or value > max(usable, default=math.inf):
            break
        usable.append(value)
    lowest = usable[-1]
    if len(usable) < 3 or lowest > -FALLEN * (abs(curve[0]) + 1):
        return False
    middle = usable[len(usable) // 2]
    return middle - lowest > usable[0] - middle
