"""Verdicts on parameters that no gradient reaches although they should learn."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from jaxnets.gradflow.diagnosis.models.chains import WOKEN, is_idle, is_last_of_its_kind
from jaxnets.gradflow.diagnosis.spans import UNDERFLOW
from jaxnets.gradflow.diagnosis.table import Table, listed, module_of
from jaxnets.gradflow.diagnosis.verdict import Verdict, severity_of


GRADIENT = "log10_array_gradient_norm"
REASON = "A parameter whose gradient is zero learns nothing, at any learning rate."
OTHER_CAUSE = (
    "Parts that are frozen on purpose look the same: leave them out of what is "
    "differentiated. A part that only some inputs use, such as an expert, may have "
    "been idle on this batch."
)
LAST = (
    "It is the last of several similar parts, and the others learn. Where each block "
    "only prepares the next one, as in WaveNet, the last block does not need it."
)
# By reason: why no gradient arrives, what to do, and where to read about it.
CAUSES = {
    "unused": (
        "the loss does not depend on {them}{last}",
        "Call {them} in the forward pass and use the output in the loss, or remove "
        "{them}. Look for an output that is dropped, a head that the loss leaves out, "
        "and an index that names another layer.",
        "",
    ),
    "stop_gradient": (
        "a stop_gradient{place} ends it",
        "Remove the stop_gradient{place}, if {they} should learn.",
        "",
    ),
    "target": (
        "a stop_gradient{place} ends it, and no layer but only the loss uses what "
        "comes out, as with a target network or a teacher",
        "If {they} should be a target or a teacher, leave {them} out of what is "
        "differentiated; otherwise remove the stop_gradient{place}.",
        "Mnih et al. 2015, Human-Level Control through Deep Reinforcement Learning.",
    ),
    "step function": (
        "a step function{place} (rounding, a sign or a comparison) has the derivative "
        "zero",
        "Use a straight-through estimator, x + stop_gradient(step(x) - x); "
        "or use a smooth function, such as a sigmoid for a comparison or a gate.",
        "Bengio, Leonard and Courville 2013, Estimating or Propagating Gradients "
        "Through Stochastic Neurons.",
    ),
    "integer": (
        "a conversion to whole numbers{place} (argmax, an index or a cast) has no "
        "derivative",
        "In place of argmax use a softmax and a weighted sum, or the Gumbel-softmax; "
        "or a straight-through estimator: "
        "x + stop_gradient(whole(x) - x).",
        "Jang, Gu and Poole 2017, Categorical Reparameterization with Gumbel-Softmax.",
    ),
    "two zeros": (
        "{they} and what they are multiplied with both start at zero, so that neither "
        "ever changes",
        "Start one of both factors with random values: only the last one may start at "
        "zero.",
        "Hu et al. 2022, LoRA, section 4.1: one factor random, the other zero.",
    ),
    "idle": (
        "similar parts have a gradient, so {they} may be idle on this batch, as an "
        "expert is that its router does not choose",
        "Measure on more batches, or on a larger one. If that changes nothing, balance "
        "the load of the router, and look for a factor of zero: a mask, a gate or a "
        "loss weight.",
        "Fedus, Zoph and Shazeer 2022, Switch Transformers, section 2.2.",
    ),
    "product": (
        "there is a path to the loss, but the derivative along it is exactly zero: "
        "{they} may be multiplied by zero, hidden by a mask at every place, or pass "
        "through a softmax or normalisation of one number, or through a clip or an "
        "activation that is flat at every input",
        "Look for a factor that is exactly zero (a loss weight, a mask, a gate), a "
        "softmax over an axis of one entry, a normalisation of a single number, and "
        "a `jnp.clip` whose input lies outside of its bounds.",
        "",
    ),
    "everything": (
        "no parameter has a gradient, although there are paths to the loss: the loss "
        "may be clipped, multiplied by zero or taken over an empty mask, or its "
        "gradient too small for 16-bit numbers",
        "Look at what the loss does last: a `jnp.clip` or `maximum` beyond its bound, "
        "a weight of zero, a mask that leaves nothing. With float16 scale the loss up "
        "and the gradient down, or compute the loss in float32.",
        "Micikevicius et al. 2018, Mixed Precision Training, section 3.2.",
    ),
}

# The reasons that may be on purpose.
MILD = ("target", "idle")


def detached_verdicts(
    records: Table, where: str, *, dead: bool, blocked: Mapping[str, tuple[str, str]]
) -> Iterator[Verdict]:
    """Judge the parameters whose gradient is exactly zero in every seed.

    Not among them are those behind a part that starts at zero, which get a gradient
    after a few updates, and biases beside a kernel that has one.

    Args:
        records: The numbers of one network at one step.
        where: What is judged.
        dead: Whether another verdict has named a layer through which nothing passes.
        blocked: The reason and the line of what ends the gradient, by parameter.
    """
    zero = asleep(records)
    all_of_them = len(zero) == len(records.places(GRADIENT))
    unexplained = "everything" if all_of_them else "product"
    reasons: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for array in zero:
        reason = blocked.get(array)
        if (reason is None or reason[0] == "unused") and _is_shift(
            array, zero, records
        ):
            continue
        if reason is None:
            if dead or _has_underflow(records):
                continue
            idle = not all_of_them and is_idle(array, zero, records)
            other = "idle" if idle else unexplained
            reason = ("two zeros" if _is_at_zero(array, records) else other, "")
        reasons[reason].append(array)
    kinds = {reason for reason, _ in reasons}
    if "two zeros" in kinds and (unexplained, "") in reasons:
        # What comes before two zeros in a row has no gradient because of them.
        reasons.pop((unexplained, ""))
    for (reason, line), arrays in _joined(reasons):
        verdict = _verdict(reason, line, arrays, records, where)
        if reason == "unused" and is_last_of_its_kind(arrays, records):
            verdict = verdict._replace(severity="warning", other_cause=LAST)
        yield verdict


def _is_at_zero(array: str, records: Table) -> bool:
    """Return whether an array starts at zero, and is no usual bias."""
    at_zero = lambda name: records.all_zero("log10_array_weight_norm", name)
    if not array.endswith("bias"):
        return at_zero(array)
    module = module_of(array)
    return all(at_zero(a) for a in records.places(GRADIENT) if module_of(a) == module)


def asleep(records: Table) -> list[str]:
    """Return the arrays that have no gradient now, and none after a few updates."""
    return [
        array
        for array in records.places(GRADIENT)
        if records.all_zero(GRADIENT, array)
        and not any(
            math.isfinite(value) for value in records.seeds(WOKEN, array).values()
        )
    ]


def _joined(
    reasons: Mapping[tuple[str, str], list[str]],
) -> Iterable[tuple[tuple[str, str], list[str]]]:
    """Join the entries of one reason, whose lines then are those of all."""
    joined: defaultdict[str, tuple[list[str], list[str]]] = defaultdict(
        lambda: ([], [])
    )
    for (reason, line), arrays in reasons.items():
        joined[reason][0].append(line)
        joined[reason][1].extend(arrays)
    for reason, (lines, arrays) in joined.items():
        yield (reason, listed(filter(None, lines), 2)), arrays


def _has_underflow(records: Table) -> bool:
    """Return whether gradients are so small that others may have become zero."""
    found = [
        value
        for array in records.places(GRADIENT)
        for value in records.seeds(GRADIENT, array).values()
        if math.isfinite(value)
    ]
    return bool(found) and min(found) < UNDERFLOW


def _is_shift(array: str, zero: list[str], records: Table) -> bool:
    """Return whether another array of the module has a gradient.

    The bias before a normalisation has none, and neither has that of the keys of an
    attention, or the last one of an energy of which only the gradient is used.
    """
    module = module_of(array)
    beside = [a for a in records.places(GRADIENT) if module_of(a) == module]
    return array.endswith("bias") and bool(set(beside) - set(zero))


def _verdict(
    reason: str, line: str, arrays: list[str], records: Table, where: str
) -> Verdict:
    modules = list(dict.fromkeys(map(module_of, arrays)))
    parts = list(dict.fromkeys(_whole_part(m, arrays, records) for m in modules))
    names = listed(parts)
    inner = [m for m in modules if m not in parts]
    they = "they" if len(parts) > 1 else "it"
    words = {"place": f" at {line}" if line else "", "they": they}
    words["last"] = f" (last used at {line})" if line else ""
    words["them"] = "them" if len(parts) > 1 else "it"
    cause, remedy, reference = (text.format(**words) for text in CAUSES[reason])
    total = len(records.places(GRADIENT))
    here = " from this batch" if reason == "idle" else ""
    return Verdict(
        kind="detached",
        severity="warning" if reason in MILD else severity_of("detached"),
        where=f"{where}, {names}" + (f" ({listed(inner, 4)})" if inner else ""),
        number=float(len(arrays)),
        sentence=(
            f"The gradient of {names} is exactly zero, so {they} cannot learn{here}: "
            f"{cause}. These are {len(arrays)} of {total} parameter arrays."
        ),
        cause=f"{cause[0].upper()}{cause[1:]}.",
        remedy=remedy,
        reference=reference,
        threshold=0.0,
        reason=REASON,
        other_cause=OTHER_CAUSE,
    )


def _whole_part(module: str, arrays: list[str], records: Table) -> str:
    """Return the largest part of the network around a module that has no gradient."""
    whole = module
    names = module.split("/")
    for size in range(len(names), 0, -1):
        part = "/".join(names[:size])
        inside = [
            a for a in records.places(GRADIENT) if a == part or a.startswith(f"{part}/")
        ]
        if not set(inside) <= set(arrays):
            break
        whole = part
    return whole
