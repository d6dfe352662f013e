"""Verdicts on architectures: which kind of network is best on each task."""

from jaxnets.gradflow.diagnosis.contrast import REASON
from jaxnets.gradflow.diagnosis.verdict import Verdict, select, verdict_on
from jaxnets.runs.estimates import Estimate, estimate, paired_difference
from jaxnets.runs.formatting import format_estimate
from jaxnets.runs.intervals import SHARE
from jaxnets.runs.records import Record


# By task, which is the part of an arm's name after its family.
TASKS = {
    "images": "digits as images",
    "pixels": "digits as sequences of pixels",
    "shuffled": "digits with shuffled pixels",
    "adding": "the adding problem",
}
REMEDIES = {
    "dense": "Use a dense network where inputs have no order or neighbourhood that "
    "matters.",
    "CNN": "Use convolutions where nearby inputs belong together and a pattern can be "
    "anywhere.",
    "RNN": "Use a recurrent network where inputs come in an order, and early ones must "
    "be remembered.",
}
OTHER_CAUSE = (
    "All networks have the same learning rate and number of updates; a slower learner "
    "may catch up with more of them."
)


def judge(records: list[Record]) -> list[Verdict]:
    """Compare the best kind of network with the second best on each task."""
    tested = select(records, metric="test_accuracy")
    verdicts = []
    for task, name in TASKS.items():
        of_task = [r for r in tested if r.arm.partition("-")[2] == task]
        shares = {
            family: {r.seed: r.value for r in select(of_task, family=family)}
            for family in dict.fromkeys(record.family for record in of_task)
        }
        if verdict := _best(shares, name):
            verdicts.append(verdict)
    return verdicts


def _best(shares: dict[str, dict[int, float]], task: str) -> Verdict | None:
    means = {family: estimate(found.values()) for family, found in shares.items()}
    known = {family: found for family, found in means.items() if found is not None}
    ordered = sorted(known, key=lambda family: -known[family].mean)
    if len(ordered) < 2:
        return None
    first, second, *others = ordered
    gap = paired_difference(shares[second], shares[first])
    if gap is None:
        return None
    gap = gap.map(lambda share: 100 * share)
    certain = gap.interval[0] > 0
    verb = "is right most often" if certain else "may be right most often"
    beside = "".join(f", the {name} network {_percent(known[name])}" for name in others)
    return verdict_on(
        "contrast",
        gap,
        where=f"{task}, {first} against {second}",
        sentence=(
            f"On {task} the {first} network {verb}: {_percent(known[first])} of its "
            f"answers, the {second} network's {_percent(known[second])}{beside}. The "
            f"first two differ by "
            f"{format_estimate(gap, unit=' percentage points')}."
        ),
        remedy=(
            REMEDIES.get(first, "")
            if certain
            else "The best two do not differ for sure: take the cheaper one, or run "
            "more seeds."
        ),
        threshold=0.0,
        study="architecture",
        reason=REASON,
        other_cause=OTHER_CAUSE,
    )


def _percent(share: Estimate) -> str:
    return f"{100 * share.within(SHARE).mean:.3g} %"
