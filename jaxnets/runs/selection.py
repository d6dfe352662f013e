"""Selections of records, for charts and columns of tables."""

from collections.abc import Iterable

from jaxnets.runs.records import Record


def of_metric(records: Iterable[Record], *metrics: str) -> list[Record]:
    """Return the records of any of `metrics`, in the order of `metrics`."""
    found = [record for record in records if record.metric in metrics]
    return sorted(found, key=lambda record: metrics.index(record.metric))


def before_training(records: Iterable[Record]) -> list[Record]:
    """Return the records of each arm and metric at its first step."""
    records = list(records)
    first = _steps(records, min)
    return [r for r in records if r.step == first[r.arm, r.metric]]


def after_training(records: Iterable[Record]) -> list[Record]:
    """Return the records of each arm and metric at its last step, unless it is 0."""
    return [record for record in at_end(records) if record.step > 0]


def at_end(records: Iterable[Record]) -> list[Record]:
    """Return the records of each arm and metric at its last step."""
    records = list(records)
    last = _steps(records, max)
    return [r for r in records if r.step == last[r.arm, r.metric]]


def _steps(records: list[Record], choose) -> dict[tuple[str, str], int]:
    steps: dict[tuple[str, str], int] = {}
    for record in records:
        key = record.arm, record.metric
        steps[key] = choose(steps.get(key, record.step), record.step)
    return steps


def by_position(records: Iterable[Record]) -> list[Record]:
    """Return the records that belong to one layer or time step."""
    return [record for record in records if record.position is not None]


def ends(records: Iterable[Record], choose=min) -> list[Record]:
    """Return the records at each arm's first position, or last with `choose=max`."""
    positioned = [(r, r.position) for r in records if r.position is not None]
    found: dict[tuple[str, str], int] = {}
    for record, position in positioned:
        key = record.arm, record.metric
        found[key] = choose(found.get(key, position), position)
    return [r for r, position in positioned if position == found[r.arm, r.metric]]
