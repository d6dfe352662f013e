"""Verdicts on time: how far back the gradients of RNN, GRU and LSTM reach."""

import math

from jaxnets.gradflow.diagnosis.contrast import REASON as CONTRAST_REASON
from jaxnets.gradflow.diagnosis.contrast import by_how_much
from jaxnets.gradflow.diagnosis.profiles import Profile, profile
from jaxnets.gradflow.diagnosis.vanishing import profile_verdict
from jaxnets.gradflow.diagnosis.verdict import (
    Verdict,
    first_and_last_step,
    moment,
    select,
    severity_of,
    trains_anyway,
    verdict_on,
)
from jaxnets.runs.catalogue import MEMORY_TASKS, memory_task
from jaxnets.runs.estimates import estimate, paired_difference
from jaxnets.runs.formatting import format_estimate, format_number, power_of_ten
from jaxnets.runs.records import Record


REMEDIES = {
    "vanishing": "Use an LSTM or GRU, or start the recurrent weights orthogonal.",
    "exploding": "Clip the gradient's norm, lower the gain of the recurrent weights, "
    "or truncate backpropagation.",
    "healthy": "The gradient reaches the first steps. If the task is still not solved, "
    "train longer or tune the learning rate before changing the cell.",
    "unclear": "Run more seeds before you decide.",
}
GATED = ("GRU", "LSTM")
OPEN_THE_GATE = (
    "start the gate that keeps the old state (LSTM f, GRU z) further open: a bias of "
    "about the logarithm of the number of steps to remember."
)
GATED_REMEDIES = REMEDIES | {"vanishing": OPEN_THE_GATE[0].upper() + OPEN_THE_GATE[1:]}


def judge(records: list[Record]) -> list[Verdict]:
    """Judge each task by itself, in the order of the catalogue."""
    return [
        verdict
        for task, name in MEMORY_TASKS.items()
        for verdict in _judge_task(
            [record for record in records if memory_task(record.arm) == task],
            "" if task == "adding" else f"{name}, ",
        )
    ]


def _judge_task(records: list[Record], task: str) -> list[Verdict]:
    """Judge every family at its longest sequences, contrast with RNN, then solved.

    Args:
        records: The records of one task.
        task: What the description of a network says of its task.
    """
    norms = select(records, metric="log10_gradient_norm")
    solved = select(records, metric="solved")
    verdicts: list[Verdict] = []
    outcomes: dict[str, Verdict] = {}
    for family in dict.fromkeys(record.family for record in solved):
        outcomes |= _outcome(select(solved, family=family), family, task)
    for family in dict.fromkeys(record.family for record in norms):
        of_family = select(norms, family=family)
        verdicts += _family_verdicts(of_family, family, task, outcomes)
    for family in GATED:
        verdicts += _contrasts(norms, family, task)
    return [*verdicts, *outcomes.values()]


def _network(family: str, task: str, length: float) -> str:
    return f"{family}, {task}{length:g} time steps"


def _family_verdicts(
    records: list[Record], family: str, task: str, outcomes: dict[str, Verdict]
) -> list[Verdict]:
    """Judge the gradient; a network that every seed solves its task with has no fault.

    Args:
        records: The norms of the family.
        family: Its name.
        task: The task, as in the description of a network.
        outcomes: By network, the verdict on whether it solves its task.
    """
    verdicts = []
    for length, step in _moments(records):
        network = _network(family, task, length)
        outcome = outcomes.get(network)
        norms = profile(select(records, size=length), step=step)
        if norms is None:
            continue
        verdict = profile_verdict(
            norms,
            study="time",
            where=f"{network}, {moment(step)}",
            unit="step",
            remedies=REMEDIES if family.startswith("RNN") else GATED_REMEDIES,
        )
        verdict = verdict._replace(sentence=verdict.sentence + _reach(norms))
        if outcome is not None and outcome.number == 1:
            words = outcome.sentence[0].lower() + outcome.sentence[1:]
            verdict = trains_anyway(verdict, words)
        verdicts.append(verdict)
    return verdicts


def _moments(records: list[Record]) -> list[tuple[float, int]]:
    """Return pairs of a length and a step: the first and last step of each length.

    The lengths are the longest on which networks were trained and the longest of all.
    """
    trained = [record.size for record in records if record.step > 0]
    longest = [record.size for record in records]
    lengths = sorted({max(sizes) for sizes in (trained, longest) if sizes})
    return [
        (length, step)
        for length in lengths
        for step in first_and_last_step(select(records, size=length))
    ]


def _reach(norms: Profile) -> str:
    """Say the rate again as a half-life and in powers of ten per 100 steps."""
    rate = estimate(norms.rates.values())
    if rate is None or rate.mean == 0:
        return ""
    steps = math.log10(2) / abs(rate.mean)
    verb, change = ("halves", "loses") if rate.mean < 0 else ("doubles", "gains")
    return (
        f" It {verb} about every {format_number(steps)} steps, or {change} "
        f"{format_number(100 * abs(rate.mean))} powers of ten per 100 steps."
    )


def _contrasts(records: list[Record], family: str, task: str) -> list[Verdict]:
    """Contrast the RNN with a gated family at the longest sequences that both have."""
    known = {(r.size, r.step) for r in select(records, family="RNN")}
    gated = select(records, family=family)
    shared = [r for r in gated if (r.size, r.step) in known]
    contrasts = [
        _contrast(
            select(records, size=length, step=step),
            family,
            f"{task}{length:g} time steps",
            step,
        )
        for length, step in _moments(shared)
    ]
    return [contrast for contrast in contrasts if contrast]


def _contrast(
    records: list[Record], family: str, where: str, step: int
) -> Verdict | None:
    """Compare the rates of the RNN and a gated family."""
    profiles = [profile(records, family=name) for name in ("RNN", family)]
    if profiles[0] is None or profiles[1] is None:
        return None
    plain, gated = (
        {seed: 100 * rate for seed, rate in found.rates.items()}
        for found in profiles
        if found
    )
    gap = paired_difference(gated, plain)
    better = by_how_much(("RNN", family), (plain, gated), "per 100 steps")
    rates = [estimate(plain.values()), estimate(gated.values())]
    if gap is None or better is None or rates[0] is None or rates[1] is None:
        return None
    changes = [f"{rate.mean:+.2g}" for rate in rates if rate]
    certain = gap.interval[0] > 0 or gap.interval[1] < 0
    return verdict_on(
        "contrast",
        gap,
        where=f"RNN against {family}, {where}, {moment(step)}",
        sentence=(
            f"Per 100 steps back in time the RNN's gradient changes by {changes[0]} "
            f"powers of ten, the {family}'s by {changes[1]}: {better}."
            f"{_ratio(plain, gated, family)}"
        ),
        remedy=_contrast_remedy(gap.mean, certain, family),
        threshold=0.0,
        study="time",
        reason=CONTRAST_REASON,
    )


def _ratio(plain: dict[int, float], gated: dict[int, float], family: str) -> str:
    """Say how many times faster the RNN forgets, if both forget in every seed."""
    finite = [
        {seed: rate for seed, rate in rates.items() if math.isfinite(rate)}
        for rates in (plain, gated)
    ]
    if any(rate >= 0 for rates in finite for rate in rates.values()):
        return ""
    # On the logarithmic scale, because a ratio has no symmetric interval.
    logs = [{s: math.log10(-rate) for s, rate in rates.items()} for rates in finite]
    ratio = paired_difference(logs[1], logs[0])
    if ratio is None:
        return ""
    ratio, unit = ratio.map(power_of_ten), f" times as fast as the {family}"
    return f" The RNN forgets {format_estimate(ratio, unit=unit)}."


def _contrast_remedy(gap: float, certain: bool, family: str) -> str:
    if not certain:
        return "The two do not differ for sure: run more seeds before you decide."
    if gap < 0:
        return f"Where the task needs a long memory, prefer the {family}."
    return (
        f"Here the RNN's gradient reaches further back than the {family}'s: open the "
        "forget gate with a larger bias before you blame the cell."
    )


def _outcome(records: list[Record], family: str, task: str) -> dict[str, Verdict]:
    """Count the seeds that solve the task at the longest sequence, by network."""
    length = max(record.size for record in records)
    longest = select(records, size=length)
    step = max(record.step for record in longest)
    last = [r.value for r in select(longest, step=step) if math.isfinite(r.value)]
    if not last:
        return {}
    share, count = sum(last) / len(last), round(sum(last))
    kind = "solved" if share > 0.5 else "unsolved"
    network = _network(family, task, length)
    verdict = Verdict(
        kind=kind,
        severity=severity_of(kind),
        where=f"{network}, {moment(step)}",
        number=share,
        sentence=(
            f"The {family} solves the task over {length:g} time steps in {count} "
            f"of {len(last)} seeds."
        ),
        remedy=(
            "Try a longer sequence."
            if kind == "solved"
            else "Compare with how far back its gradient reaches; then train longer."
        ),
        threshold=0.5,
        study="time",
        reason="A network that solves the task does so with most seeds.",
    )
    return {network: verdict}
