"""Verdicts on extreme depth: where the gradient goes, and whether training works."""

from jaxnets.gradflow.diagnosis.profiles import profile
from jaxnets.gradflow.diagnosis.vanishing import profile_verdict
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select, verdict_on
from jaxnets.runs.estimates import estimate, over_seeds
from jaxnets.runs.formatting import (
    format_estimate,
    format_percent,
    format_power_of_ten,
)
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record


REMEDIES = {
    "vanishing": "Raise the gain to the critical one "
    "(`jaxnets.gradflow.theory.critical_line`), or add shortcuts.",
    "exploding": "Lower the gain to the critical one "
    "(`jaxnets.gradflow.theory.critical_line`), or normalise each layer.",
    "healthy": "Nothing needs to change: at this gain the gradient passes through "
    "any depth.",
    "unclear": "Run more seeds before you decide.",
    "solved": "Try a deeper network.",
    "unsolved": "Compare with the gradient at the first layer before training; if that "
    "is healthy, train longer.",
}
# Of ten classes.
SOLVED = 0.9


def judge(records: list[Record]) -> list[Verdict]:
    """Judge each family before training at its deepest, then what training reached."""
    verdicts = []
    for family in dict.fromkeys(record.family for record in records):
        of_family = select(records, family=family)
        verdicts += [_flow(of_family, family), _training(of_family, family)]
    return [verdict for verdict in verdicts if verdict]


def _flow(records: list[Record], family: str) -> Verdict | None:
    depth = max(record.size for record in records)
    norms = profile(records, size=depth, step=0)
    if norms is None:
        return None
    verdict = profile_verdict(
        norms,
        study="extreme",
        where=f"{family}, {depth:g} layers, before training",
        unit="layer",
        remedies=REMEDIES,
    )
    arrival = estimate(norms.arrivals.values())
    if arrival is None:
        return verdict
    # Over thousands of layers a factor per layer is too near to 1 to be read.
    share = format_estimate(arrival, format_power_of_ten)
    sentence = (
        f"The first of {depth:,.0f} layers receives {share} times the gradient of the "
        "last one."
    )
    if verdict.severity == "fault":
        sentence += " One learning rate does not serve both."
    return verdict._replace(sentence=sentence)


def _training(records: list[Record], family: str) -> Verdict | None:
    tested = select(records, metric="test_accuracy")
    accuracy = over_seeds(tested)
    if accuracy is None:
        return None
    accuracy = accuracy.within(SHARE)
    kind = "solved" if accuracy.mean >= SOLVED else "unsolved"
    layers, step = tested[0].size, tested[0].step
    return verdict_on(
        kind,
        accuracy,
        where=f"{family}, {layers:g} layers, {moment(step)}",
        sentence=(
            f"The network of {layers:g} layers classifies "
            f"{format_percent(accuracy, ' % of the test images')} correctly."
        ),
        remedy=REMEDIES[kind],
        reference="Xiao et al. 2018, Dynamical Isometry and a Mean Field Theory of "
        "CNNs (arXiv 1806.05393)",
        threshold=SOLVED,
        study="extreme",
        reason="A linear classifier of the pixels is right for more than nine in ten "
        "of scikit-learn's digits.",
    )
