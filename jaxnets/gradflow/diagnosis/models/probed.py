"""Verdicts on what the probes find: ranks, padding, and derivatives of one's own."""

from collections import defaultdict
from collections.abc import Iterator

from jaxnets.gradflow.diagnosis.models.table import Table, listed
from jaxnets.gradflow.diagnosis.verdict import Verdict, severity_of
from jaxnets.runs.estimates import Estimate
from jaxnets.runs.formatting import format_number, format_percent


# Finite differences in float32 are accurate to a percent or so.
BACKWARD = 0.1
# A thousandth of the squared gradient is 3 % of its norm.
PADDING = 1e-3


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
                f"The derivative that {function} has by hand differs from the finite "
                f"difference of {function} itself by "
                f"{format_number(100 * error.mean)} % of its size: the gradient of all "
                "that comes before is wrong."
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
    return Verdict(
        kind="padding",
        severity=severity_of("padding"),
        where=f"{where}, padded steps of the batch",
        number=share.mean,
        sentence=(
            f"Padded steps get {format_percent(share, ' % of the squared gradient')} "
            "of the sequences, so that the network learns from what is not there, and "
            "its answer depends on how long the padding is."
        ),
        cause="The padded steps are not masked in a mean, an attention or a loss, or "
        "the last step is read where the sequence has ended before.",
        remedy=(
            "Pass the lengths to the recurrent layer (`lengths`, `seq_lengths`), read "
            "the state at the last valid step, and mask padded steps in means, "
            "attention and the loss."
        ),
        threshold=PADDING,
        low=share.low,
        high=share.high,
        reason="A thousandth of the squared gradient is 3 % of its norm.",
        other_cause=(
            "Steps of zeros at the end of each sequence may be data: then there is "
            "nothing to mask."
        ),
    )
