"""The verdict on a chain of layers: whether gradient and signal keep their size.

Between two layers three numbers change: the norm of the gradient g, the size of the
signal h, and their product |g| |h|, by how much the loss changes if h changes by one
percent. A linear layer of any gain keeps the product, and so does a normalisation:
what the gradient gains on its way back the signal loses on its way forward. A product
that changes from layer to layer is what no gain explains: flat activations, chaos,
branches that add up. So a gradient that changes tenfold is a fault only if the product
changes too, or if the change is so large that the signal itself is lost.

Adam and its kin divide the gradient of each array by its size, so that the first layers
move as far as the last ones although their gradient is smaller. Where the optimiser is
known, its updates decide in place of the gradients. But it divides noise and rounding
errors too, so a gradient that is far smaller stays a warning or a fault.
"""

import math
import statistics

from jaxnets.gradflow.diagnosis.profiles import TENFOLD, Profile, profile
from jaxnets.gradflow.diagnosis.spans import widest
from jaxnets.gradflow.diagnosis.table import Table, module_of
from jaxnets.gradflow.diagnosis.vanishing import SIGNS, profile_verdict
from jaxnets.gradflow.diagnosis.verdict import Verdict, severity_of
from jaxnets.gradflow.program.kinds import KINDS
from jaxnets.runs.formatting import format_power_of_ten
from jaxnets.runs.records import Record


# In powers of ten. Gains of unequal layers, pooling and the initialisers in use change
# a gradient by up to a hundredfold in networks that train well.
LOST = {"vanishing": 2.5, "exploding": 2.0}
# By how much the gradients of the weights, relative to the weights, must differ between
# the first and the last third of the layers: tenfold, as for the gradient itself.
UNEVEN = 1.0
# In the same powers of ten, for an optimiser that evens the updates out: from where a
# warning and a fault remain. With Adam at the best of three rates, on 48 points,
# sigmoid layers reach 0.003 (4 layers, 2.3), 0.33 and 0.19 (6 and 8 layers, 3.1 and
# 3.7) and 1.39 (12 layers, 5.6) in 500 updates; plain BatchNorm layers reach a loss of
# 0.008 (20 layers, 1.4) and 0.71 (40 layers, 2.3) in 300.
REMAINS = {"warning": 2.0, "fault": 5.0}
# A fault of depth has at least this many layers, or REMAINS["fault"] is passed. Between
# two layers the kinds of both decide: an attention that is even at first passes a
# fortieth to its queries and keys, and learns.
FEWEST = 4
# The same in a branch. A shortcut beside it carries the gradient on, so that its layers
# count once in all of the network. In a small GPT-2, an attention with its norm and its
# dropout passes a five-hundredth, and learns.
FEWEST_OF_BRANCH = 8
# In powers of ten: how far from one a signal is that nothing normalises.
UNUSUAL = 1.5
# The alternatives of a remedy are separated by semicolons. One that was tried and did
# not help is left out, and one that did comes first.
INITIALISERS = {
    "relu": "He's initialiser (normal, variance 2/fan_in)",
    "tanh": "LeCun's initialiser (normal, variance 1/fan_in)",
    "": "an initialiser that keeps the size of the signal (He's before ReLU, LeCun's "
    "before tanh and in linear layers)",
}
RECTIFYING = ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "celu", "mish")
SQUASHING = ("tanh", "sigmoid", "soft_sign", "hard_tanh", "hard_sigmoid", "selu")


def remedies_for(activation: str) -> dict[str, str]:
    """Return what to try along depth, by kind, in a network with this activation.

    Example:
        >>> remedies_for("relu")["vanishing"].partition(";")[0]
        "Use He's initialiser (normal, variance 2/fan_in)"
    """
    family = "relu" if activation in RECTIFYING else ""
    family = "tanh" if activation in SQUASHING else family
    initialiser = f"se {INITIALISERS[family]}"
    others = "add shortcut connections; normalise each layer."
    vanishing = f"U{initialiser}; {others}"
    if activation in ("tanh", "sigmoid"):
        vanishing = (
            f"Use ReLU instead of {activation}, with He's initialiser; "
            + (f"u{initialiser}; " if activation == "tanh" else "")
            + others
        )
    return {
        "vanishing": vanishing,
        "exploding": f"Lower the gain: u{initialiser}; add shortcut connections if "
        "there are none; normalise each layer; scale residual branches down; clip the "
        "gradient.",
        "healthy": "Nothing needs to change in the gradient's flow. If this network "
        "still trains badly, look at the learning rate and the data first.",
        "unclear": "Run more seeds before you decide.",
    }


REFERENCES = {
    "vanishing": "Glorot and Bengio 2010, Understanding the difficulty of training "
    "deep feedforward neural networks; He et al. 2015, Delving Deep into Rectifiers, "
    "section 2.2, and Deep Residual Learning.",
    "exploding": "He et al. 2015, Delving Deep into Rectifiers, section 2.2; Yang et "
    "al. 2019, A Mean Field Theory of Batch Normalization; Pascanu et al. 2013.",
}
WELL = (
    "Along the layers the gradient shrinks as much as the signal grows, or grows as "
    "much as the signal shrinks, so that all layers can learn at one rate."
)
EVENED = (
    "The gradients of the first layers, relative to their weights, are {} times those "
    "of the last, but the optimiser evens this out: its updates, relative to the "
    "weights, differ less than tenfold."
)
EVENED_CAUSES = {
    "vanishing": "The optimiser makes the updates of all layers alike, but it "
    "amplifies noise and rounding errors too, which make up much of so small a "
    "gradient.",
    "exploding": "The optimiser makes the updates of all layers alike, but where the "
    "gradient grows so much, small changes of the first layers change the loss far "
    "more than those of the last.",
}


def depth_verdict(
    records: list[Record],
    table: Table,
    *,
    where: str,
    activation: str = "",
    unit: str = "layer",
    fewest: int = FEWEST,
) -> Verdict | None:
    """Judge one chain of taps.

    Args:
        records: The `log10_gradient_norm` records of the chain, whose positions count
            from 0 without gaps.
        table: All numbers of the network.
        where: What is judged.
        activation: The kind of most activations along the chain; empty if not known.
        unit: What a position of the chain is.
        fewest: The layers of a fault, unless the change is huge.

    Returns:
        A verdict, or None if nothing can be said.
    """
    reached = [r for r in records if r.value > -math.inf]
    gradient = profile(reached)
    if gradient is None or len(gradient.names) < 2:
        return None
    remedies = remedies_for(activation)
    options = {"study": "model", "where": where, "unit": unit, "remedies": remedies}
    found = _placed(profile_verdict(gradient, **options), gradient, where)
    products = with_products(reached, table)
    product = profile(products) if len(products) == len(reached) else None
    if product is None:
        return _referenced(found)
    judged = _of_product(profile_verdict(product, **options))
    judged = _placed(judged, product, where)
    is_short = lambda kind: _is_short(gradient, kind, fewest)
    evened = ""
    if judged.kind in REFERENCES:
        severity, evened = _of_weights(gradient, table, judged.kind)
        # An attention over n keys that is even divides the gradient by about n.
        through_attention = judged.where.endswith("softmax")
        if severity == "fault" and (through_attention or is_short(judged.kind)):
            severity = "warning"
        if severity in ("fault", "warning"):
            cause = EVENED_CAUSES[judged.kind] if evened else ""
            found = _as_product(judged, found)
            return _referenced(found._replace(severity=severity, cause=cause))
    if found.kind in REFERENCES:
        if _is_lost(gradient, reached, table, found.kind):
            severity = "warning" if is_short(found.kind) else found.severity
            return _referenced(found._replace(severity=severity))
        return found._replace(
            kind="healthy",
            severity="well",
            where=where,
            sentence=evened or WELL,
            remedy=remedies["healthy"],
            other_cause="",
        )
    return found


def _placed(verdict: Verdict, chain: Profile, where: str) -> Verdict:
    """Name the layers between which it happens, if a fault is one of many layers."""
    if verdict.where != where or verdict.kind not in SIGNS:
        return verdict
    span = widest(chain.norms, SIGNS[verdict.kind])
    if span is None:
        return verdict
    first, last = chain.names[span.first], chain.names[span.last]
    return verdict._replace(where=f"{where}, {first} to {last}")


def _referenced(verdict: Verdict) -> Verdict:
    return verdict._replace(reference=REFERENCES.get(verdict.kind, ""))


def _of_product(judged: Verdict) -> Verdict:
    metric, *places = judged.quantity or ("",)
    quantity = (metric.replace("gradient", "product"), *places)
    return judged._replace(quantity=quantity if places else ())


def _as_product(judged: Verdict, found: Verdict) -> Verdict:
    """Return the verdict on the product, or that on the gradient if both agree."""
    if found.kind == judged.kind:
        return found
    words = judged.sentence.replace(
        "the gradient ", "the gradient, times the size of the signal, ", 1
    )
    return judged._replace(sentence=words)


def with_products(records: list[Record], table: Table) -> list[Record]:
    """Return the records with log10 of gradient times signal, where both are known."""
    found = []
    for record in records:
        mean = table.seeds("response_mean", record.place).get(record.seed, math.nan)
        std = table.seeds("response_std", record.place).get(record.seed, math.nan)
        size = math.hypot(mean, std)
        if math.isfinite(size) and size > 0:
            found.append(record._replace(value=record.value + math.log10(size)))
    return found


def _of_weights(gradient: Profile, table: Table, kind: str) -> tuple[str, str]:
    """Judge whether the weights of the first layers also get other gradients.

    If nothing is known about the weights, the taps alone decide.

    Returns:
        A severity, and what the optimiser changes about it in words, if it does.
    """
    change = _change(gradient, table, "log10_array_gradient_norm", kind)
    if change is None:
        return severity_of(kind), ""
    if change < UNEVEN:
        return "well", ""
    moved = _change(gradient, table, "log10_array_update_norm", kind)
    if moved is None or not moved < UNEVEN:
        return severity_of(kind), ""
    remains = [severity for severity, least in REMAINS.items() if change >= least]
    words = EVENED.format(format_power_of_ten(SIGNS[kind] * change))
    return (remains or ["well"])[-1], words


def _change(gradient: Profile, table: Table, metric: str, kind: str) -> float | None:
    """Return by how many powers of ten the first third of the layers has less, or more.

    It is less if the kind is `vanishing`. None if the metric of fewer than two layers
    is known.
    """
    names = [gradient.names[position] for position in sorted(gradient.names)]
    found = [_relative(name, table, metric) for name in names]
    relative = [ratio for ratio in found if ratio is not None]
    if len(relative) < 2:
        return None
    third = max(1, len(relative) // 3)
    first, last = relative[:third], relative[-third:]
    return SIGNS[kind] * (statistics.median(first) - statistics.median(last))


def module_at(tap: str) -> str:
    """Return the module of a tap. That after an activation stands for the one before.

    Example:
        >>> module_at("body/3/relu"), module_at("body/3")
        ('body/3', 'body/3')
    """
    last = tap.rpartition("/")[2].partition("#")[0]
    return module_of(tap) if last in KINDS.values() else tap


def _arrays_of(tap: str, arrays: list[str]) -> list[str]:
    """Return those of some arrays that are in the module of a tap.

    `body#2` is the second call of `body`, and `lstm/1` may be an output of `lstm`.
    """
    module = module_at(tap).partition("#")[0]
    found = [array for array in arrays if array.startswith(f"{module}/")]
    parent, _, last = module.rpartition("/")
    if found or not last.isdigit():
        return found
    return [array for array in arrays if module_of(array) == parent]


def _relative(tap: str, table: Table, metric: str) -> float | None:
    """Return log10 of a norm over that of the weights, for a module's largest array.

    It is minus infinity for an update that is zero.
    """
    best = None
    for array in _arrays_of(tap, table.places(metric)):
        weight = table.estimate("log10_array_weight_norm", array)
        gradient = table.estimate("log10_array_gradient_norm", array)
        if weight and gradient and (best is None or weight.mean > best[0]):
            norm = table.estimate(metric, array)
            best = weight.mean, (norm.mean if norm else -math.inf) - weight.mean
    return best and best[1]


def _is_short(gradient: Profile, kind: str, fewest: int) -> bool:
    """Return whether there are too few layers for a fault without a huge change."""
    span = widest(gradient.norms, SIGNS[kind])
    huge = span is not None and abs(span.change.mean) >= REMAINS["fault"] * TENFOLD
    return len(gradient.names) < fewest and not huge


def _is_lost(gradient: Profile, records: list[Record], table: Table, kind: str) -> bool:
    """Return whether the change is a fault whatever the signal does.

    A gradient that changes where the signal is normalised is no fault: then the signal
    is of the usual size afterwards.
    """
    sign = SIGNS[kind]
    span = widest(gradient.norms, sign)
    if span is None or abs(span.change.mean) < LOST[kind] * TENFOLD:
        return False
    sizes = [
        p.value - r.value
        for p, r in zip(with_products(records, table), records, strict=True)
        if r.position == span.last
    ]
    return not sizes or sign * statistics.fmean(sizes) >= UNUSUAL
