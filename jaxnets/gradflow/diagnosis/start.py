"""Verdicts before training: the loss at the start, dtypes, and the first update."""

import math
from collections import defaultdict
from collections.abc import Iterator

from jaxnets.gradflow.diagnosis.table import listed
from jaxnets.gradflow.diagnosis.verdict import Verdict, select, verdict_on
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.formatting import format_estimate
from jaxnets.runs.records import Record


# A fresh network guesses: its cross-entropy is ln(classes), plus about half the
# variance of its logits. Twice that needs logits with a standard deviation above 2.
FACTOR = 2.0


def start_verdicts(records: list[Record]) -> list[Verdict]:
    """Judge what is known of each network of study `model` before its training."""
    found: list[Verdict] = []
    for name in dict.fromkeys(record.arm for record in records):
        rows = select(records, arm=name, step=0)
        verdicts = (
            _changed_by_measuring(rows, name),
            _loss_at_start(rows, name),
            _rounded_away(rows, name),
        )
        found += [verdict for verdict in verdicts if verdict]
        found += _mixed_dtypes(rows, name)
    return found


def _changed_by_measuring(records: list[Record], name: str) -> Verdict | None:
    """Say that the measured program is not the one that trains, if it is so."""
    if not select(records, metric="changed_by_measuring"):
        return None
    return Verdict(
        kind="unclear",
        severity="warning",
        where=f"{name}, before training",
        number=1.0,
        sentence="Measuring changes what the loss computes, so these numbers belong to "
        "another program than the one that trains.",
        cause="Each layer is measured as a subclass of its class. Code that compares "
        "classes, such as `type(layer) is nnx.Linear`, does not recognise it.",
        remedy="Write `isinstance(layer, nnx.Linear)` in place of a comparison of "
        "types or of the names of classes.",
        reason="The loss is traced with and without the subclasses.",
        other_cause="A loss that gives another number at each call, such as one with "
        "NumPy's random numbers, differs too.",
    )


def _loss_at_start(records: list[Record], name: str) -> Verdict | None:
    """Compare the loss with that of a network that knows nothing."""
    classes = select(records, metric="classes")
    loss = over_seeds(select(records, metric="loss"))
    if not classes or loss is None:
        return None
    if loss.mean < 0:
        return None  # The loss has the wrong sign, which is another verdict.
    count = int(classes[0].value)
    guess = math.log(count)
    started = f"The loss starts at {format_estimate(loss)}"
    guessing = f"{guess:.3g}, which is ln({count}), the loss of guessing"
    low, high = loss.interval
    is_near = guess / FACTOR <= loss.mean <= FACTOR * guess
    near = "near" if is_near else "with an interval that contains"
    well = verdict_on(
        "healthy",
        loss,
        severity="well",
        where=f"{name}, before training",
        sentence=f"{started}, {near} {guessing}.",
        threshold=FACTOR * guess,
        reason="A network that gives all classes the same probability has this loss.",
    )
    if loss.mean > FACTOR * guess and low > guess:
        return well._replace(
            kind="unclear",
            severity="warning",
            sentence=f"{started}, far above {guessing}: the network is sure of answers "
            "that are wrong, and unlearns them first.",
            cause="The last layer's outputs are too large at the start.",
            remedy="Start the last layer with smaller weights, or with zeros.",
            other_cause="The labels may be shifted, or the loss a sum over examples "
            "and not a mean.",
        )
    if loss.mean < guess / FACTOR and high < guess:
        return well._replace(
            kind="unclear",
            severity="note",
            sentence=f"{started}, far below {guessing}. A network that was not trained "
            "cannot know that much.",
            remedy="Check that the labels are no part of the input, that they are not "
            "all of one class, and that the loss is in nats.",
            threshold=guess / FACTOR,
        )
    return well


def _rounded_away(records: list[Record], name: str) -> Verdict | None:
    """Find the arrays that have a gradient and stay exactly as they are."""
    # In float32 an update that is too small to change anything is no matter of dtype.
    bits = {
        r.place.rpartition("|")[0]: r.value
        for r in select(records, metric="dtype_bits")
    }
    metrics = ("array_moved_share", "log10_array_update_norm")
    moved, update = (_by_place(select(records, metric=m)) for m in metrics)
    still = [
        place
        for place, rows in moved.items()
        if bits.get(place, 16) < 32
        and all(r.value == 0 for r in rows)
        and any(math.isfinite(r.value) for r in update[place])
    ]
    if not still:
        return None
    return Verdict(
        kind="rate-too-low",
        severity="warning",
        where=f"{name}, {listed(still)}, first update",
        number=0.0,
        sentence=f"The first update changes no entry of {listed(still)}: it is "
        "below the precision of their dtype, and is rounded away.",
        cause="The parameters have too low a precision for updates of this size.",
        remedy="Keep the parameters in float32 (`param_dtype=jnp.float32`) and compute "
        "in the lower precision only (`dtype=jnp.bfloat16`).",
        threshold=0.0,
        reason="bfloat16 has 8 bits of precision, so an update below 1/512 of the "
        "parameter is lost; the usual update is a thousandth.",
        other_cause="The learning rate may be far too low.",
    )


def _mixed_dtypes(records: list[Record], name: str) -> Iterator[Verdict]:
    """Say which arrays have a dtype that few others have, or a narrow range."""
    arrays: defaultdict[str, list[str]] = defaultdict(list)
    for record in select(records, metric="dtype_bits"):
        path, _, dtype = record.place.rpartition("|")
        arrays[dtype].append(path)
    if arrays["float64"] and arrays["float32"]:
        found = arrays["float64"]
        yield Verdict(
            kind="unclear",
            severity="note",
            where=f"{name}, {listed(found)}",
            number=float(len(found)),
            sentence=f"The dtype of {listed(found)} is float64, while other arrays "
            "are in float32. All that is computed from them is in float64, which is "
            "slow on accelerators.",
            remedy="Give them `param_dtype=jnp.float32`.",
        )
    whole = [d for d in arrays if d.startswith(("int", "uint", "bool"))]
    if found := [path for dtype in whole for path in arrays[dtype]]:
        yield Verdict(
            kind="detached",
            severity="warning",
            where=f"{name}, {listed(found)}",
            number=float(len(found)),
            sentence=f"The dtype of {listed(found)} is {listed(whole)}. Whole "
            "numbers have no gradient, so they cannot learn, although they are an "
            "`nnx.Param`.",
            cause="The parameter holds whole numbers.",
            remedy="Store it as floating-point numbers if it should learn, and "
            "otherwise as an `nnx.Variable` of another kind, so that no optimiser "
            "changes it.",
            threshold=0.0,
            reason="Only floating-point numbers have derivatives.",
        )
    if found := arrays["float16"]:
        yield Verdict(
            kind="unclear",
            severity="warning",
            where=f"{name}, {listed(found)}",
            number=float(len(found)),
            sentence=f"The dtype of {listed(found)} is float16, in which gradients "
            "become zero below 6*10^-8 and infinite above 65,504.",
            remedy="Use bfloat16, which has the range of float32; or scale the loss "
            "(`jmp.DynamicLossScale`).",
            reference="Micikevicius et al. 2018, Mixed Precision Training.",
        )


def _by_place(records: list[Record]) -> defaultdict[str, list[Record]]:
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record.place].append(record)
    return found
