"""Verdicts on what the probes find: ranks, padding, and derivatives of one's own."""

import math
from collections import defaultdict
from collections.abc import Iterator

from jaxnets.gradflow.diagnosis.table import Table, listed
from jaxnets.gradflow.diagnosis.verdict import Verdict, severity_of, verdict_on
from jaxnets.runs.estimates import Estimate
from jaxnets.runs.formatting import format_estimate, format_number, format_percent
from jaxnets.runs.intervals import SHARE, Bounds


# Finite differences in float32 are accurate to a percent or so.
BACKWARD = 0.1
# A thousandth of the squared gradient is 3 % of its norm.
PADDING = 1e-3
# With outputs on one line a layer computes one number, whatever its width.
LINE, THIN = 1.02, 1.5
# By how much the rank must fall on the way: data of few dimensions stay so.
FALL = 2.5
# The share of the squares by which the outputs of two inputs differ.
ALIKE = 1e-3
# At the first layer nothing has been lost on the way.
ALIKE_AT_ONCE = {
    "severity": "warning",
    "cause": "The inputs are nearly the same already: their mean is large beside their "
    "differences.",
    "remedy": "Standardise the inputs: subtract their mean and divide by their "
    "standard deviation, over the data. If they are standardised already, lower the "
    "gain of the biases of the first layer.",
    "other_cause": "Biases of the first layer that are drawn with a large gain look "
    "the same.",
}
RANK_REASON = (
    "At an effective rank of 1 all units of the layer compute the same number, up to a "
    "factor, so its width is lost."
)
RANK_REMEDY = (
    "Draw the weights at random with an initialiser that breaks the symmetry (He's, "
    "LeCun's, orthogonal), and start the biases at zero; add shortcut connections; "
    "normalise each layer."
)
RANK_REFERENCE = (
    "Dong, Cordonnier and Loukas 2021, Attention Is Not All You Need: Pure Attention "
    "Loses Rank Doubly Exponentially with Depth; Schoenholz et al. 2017, Deep "
    "Information Propagation, section 3."
)


def backward_verdicts(records: Table, where: str) -> Iterator[Verdict]:
    """Judge the derivatives that the user wrote by hand."""
    worst: dict[str, Estimate] = {}
    after: defaultdict[str, list[str]] = defaultdict(list)
    for place in records.places("backward_error"):
        error = records.estimate("backward_error", place)
        # A derivative that is NaN belongs to another verdict.
        if error is None or error.mean < BACKWARD:
            continue
        tap, _, function = place.partition("|")
        worst[function] = max(error, worst.get(function, error))
        after[function] += [tap] if tap else []
    for function, error in worst.items():
        path = f" after {listed(after[function])}" if after[function] else ""
        yield Verdict(
            kind="wrong-backward",
            severity=severity_of("wrong-backward"),
            where=f"{where}, {function}{path}",
            number=error.mean,
            sentence=(
                f"The hand-written derivative of {function} differs from the finite "
                f"difference of {function} by {format_number(100 * error.mean)} % of "
                "its size: the gradient of everything before it is wrong."
            ),
            cause=f"The derivative rule of {function} (custom_vjp or custom_jvp).",
            remedy=(
                f"Correct the derivative of {function}: compare each term with "
                "`jax.test_util.check_grads`, or remove the rule and let JAX "
                "differentiate the function."
            ),
            reference="Griewank and Walther 2008, Evaluating Derivatives, chapter 3.",
            threshold=BACKWARD,
            reason="A finite difference in float32 is right to about one percent.",
            other_cause=(
                "A gradient that is changed on purpose, such as one that is clipped or "
                "scaled, differs too."
            ),
        )


def padding_verdict(records: Table, where: str) -> Verdict | None:
    """Judge the share of the gradient that goes to padded steps."""
    share = records.estimate("padding_share")
    if share is None or share.mean < PADDING:
        return None
    return verdict_on(
        "padding",
        share,
        where=f"{where}, padded steps of the batch",
        sentence=(
            f"Padded steps get {format_percent(share, ' % of the squared gradient')} "
            "of the sequences, so that the network learns from padding, and its "
            "answer depends on the length of the padding."
        ),
        cause="The padded steps are not masked in a mean, an attention or a loss, or "
        "the last step is read although the sequence has ended before.",
        remedy=(
            "Pass the lengths to the recurrent layer (`lengths`, `seq_lengths`), read "
            "the state at the last valid step, and mask padded steps in means, "
            "attention and the loss."
        ),
        threshold=PADDING,
        reason="A thousandth of the squared gradient is 3 % of its norm.",
        other_cause=(
            "Steps of zeros at the end of each sequence may be data: then there is "
            "nothing to mask."
        ),
    )


def rank_verdict(records: Table, chain: list[str], where: str) -> Verdict | None:
    """Judge the effective rank of the outputs along a chain of layers.

    The last layer of the chain is not judged: an output may have few dimensions.

    Args:
        records: The numbers of one network at one step.
        chain: Names of the taps, in the order of the forward pass.
        where: What is judged.

    Returns:
        A verdict on the first layer that has collapsed, or None if the last hidden
        layer has not.
    """
    hidden = chain[:-1]
    ranks = _found(records, "effective_rank", hidden, (1.0, math.inf))
    distinct = _found(records, "distinct_share", hidden)
    if not ranks:
        return None
    last = list(ranks)[-1]
    widest = max(rank.mean for rank in ranks.values())
    falls = widest >= FALL * ranks[last].mean
    # From an input of one number on all layers may lie on a line, at first: their units
    # are multiples of each other, but not the same.
    units = _found(records, "unit_distinct_share", [last])
    same = last in units and units[last].mean < ALIKE
    line = ranks[last].mean <= LINE and ((widest <= LINE and same) or falls)
    if line or (ranks[last].mean <= THIN and falls):
        first = next(tap for tap in reversed(ranks) if _before(ranks, tap) > THIN)
        verdict = _on_a_line(where, first, ranks[last], line)
        return verdict._replace(quantity=("effective_rank", last))
    if distinct and list(distinct.values())[-1].mean < ALIKE:
        first = next(tap for tap, share in distinct.items() if share.mean < ALIKE)
        verdict = _alike(where, first, list(distinct.values())[-1])
        verdict = verdict._replace(quantity=("distinct_share", list(distinct)[-1]))
        at_once = first == next(iter(distinct))
        return verdict._replace(**ALIKE_AT_ONCE) if at_once else verdict
    return None


def _before(ranks: dict[str, Estimate], tap: str) -> float:
    """Return the rank at the tap before, or infinity if there is none."""
    names = list(ranks)
    place = names.index(tap)
    return ranks[names[place - 1]].mean if place else math.inf


def _found(
    records: Table, metric: str, chain: list[str], bounds: Bounds = SHARE
) -> dict[str, Estimate]:
    return {
        tap: found.within(bounds)
        for tap in chain
        if (found := records.estimate(metric, tap)) is not None
    }


def _on_a_line(where: str, tap: str, rank: Estimate, line: bool) -> Verdict:
    rank = rank.within((1.0, math.inf))
    return verdict_on(
        "rank-collapse",
        rank,
        severity=severity_of("rank-collapse") if line else "warning",
        where=f"{where}, {tap}",
        sentence=(
            f"From {tap} on the outputs at all inputs lie nearly on one line: their "
            f"effective rank is {format_estimate(rank)}, whatever the width. So the "
            "layers after it get hardly more than one number for each input."
        ),
        cause=(
            "All units of a layer have the same weights, or layers without shortcuts "
            "pull all inputs towards one direction."
        ),
        remedy=RANK_REMEDY,
        reference=RANK_REFERENCE,
        threshold=LINE if line else THIN,
        reason=RANK_REASON,
        other_cause="The data may have one dimension only.",
    )


def _alike(where: str, tap: str, share: Estimate) -> Verdict:
    return verdict_on(
        "rank-collapse",
        share,
        where=f"{where}, {tap}",
        sentence=(
            f"From {tap} on the outputs are nearly the same for all inputs: their "
            "differences between inputs are "
            f"{format_percent(share, ' % of their mean square')}, so the network can "
            "hardly tell its inputs apart."
        ),
        cause="A part that is the same for all inputs, such as a large bias or the "
        "mean of one half of a sigmoid, drowns the part that depends on the input.",
        remedy=RANK_REMEDY,
        reference=RANK_REFERENCE,
        threshold=ALIKE,
        reason="A thousandth of the squares is 3 % of the size.",
        other_cause="Inputs that are not standardised are alike to begin with.",
    )
