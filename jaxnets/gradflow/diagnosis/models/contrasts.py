"""Contrasts of two networks that a user measured, along depth and along time."""

from jaxnets.gradflow.diagnosis.contrast import arrival_contrast
from jaxnets.gradflow.diagnosis.models.series import counted, series, split
from jaxnets.gradflow.diagnosis.profiles import Profile, profile
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.runs.records import Record


def contrasts(records: list[Record], first: str, second: str) -> list[Verdict]:
    """Contrast two networks along depth, and along time at each tap that both have."""
    rows = [select(records, arm=name) for name in (first, second)]
    steps = {r.step for r in rows[0]} & {r.step for r in rows[1]}
    if not steps:
        return []
    step = min(steps)
    (depth, time), (other_depth, other_time) = (
        split(select(row, step=step)) for row in rows
    )
    pairs: dict[str, tuple[Profile | None, Profile | None]] = {}
    network = series(depth, rows[0])[:1]
    other_network = series(other_depth, rows[1])[:1]
    if network and other_network:
        pairs["layer"] = counted(network[0]), counted(other_network[0])
    for tap in (tap for tap in time if tap in other_time):
        pairs[f"step of {tap}"] = profile(time[tap]), profile(other_time[tap])
    contrasts = [
        arrival_contrast(
            (first, second),
            (one, other),
            study="model",
            where=f"{first} against {second}, {moment(step)}",
            opening=f"The first {what}",
        )
        for what, (one, other) in pairs.items()
        if one and other
    ]
    sizes = _sizes(rows, (first, second))
    return [
        c._replace(sentence=c.sentence + sizes, remedy=_remedy(c, first, second))
        for c in contrasts
        if c
    ]


def _sizes(rows: list[list[Record]], names: tuple[str, str]) -> str:
    """Say how many parameters both have, since a contrast is fair if they are near."""
    counts = [{r.value for r in select(row, metric="parameter_count")} for row in rows]
    if not (counts[0] and counts[1]):
        return ""
    one, other = (f"{max(count):,.0f}" for count in counts)
    if one == other:
        return f" Both have {one} parameters."
    return f" Their parameters: {one} ({names[0]}) and {other} ({names[1]})."


def _remedy(contrast: Verdict, first: str, second: str) -> str:
    low, high = contrast.interval
    if low > 0 or high < 0:
        better = second if low > 0 else first
        return f"Where the gradient's flow decides, prefer {better}."
    return "The two do not differ for sure: run more seeds before you decide."
