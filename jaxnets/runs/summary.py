"""The contents of `summary.json`: its fields, and whether an arm is intact."""

import hashlib
import math
import reprlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jaxnets.runs.records import Record


class Kind(NamedTuple):
    """A kind of value: what it is called in an error, and whether a value is one."""

    wanted: str
    holds: Callable[[Any], bool]


NOTHING = object()
STATUSES = ("pending", "finished", "stopped")
LIST = Kind("a list", lambda value: isinstance(value, list))
OBJECT = Kind("an object with names", lambda value: isinstance(value, dict))
TEXT = Kind("a text", lambda value: isinstance(value, str))
NUMBER = Kind(
    "a number",
    lambda value: isinstance(value, int | float) and not isinstance(value, bool),
)
COUNT = Kind(
    "a whole number of at least 0",
    lambda value: type(value) is int and value >= 0,
)
SECONDS = Kind(
    "a finite number of at least 0",
    lambda value: NUMBER.holds(value) and 0 <= value < math.inf,
)
STATUS = Kind(
    f"one of {', '.join(STATUSES)}",
    lambda value: isinstance(value, str) and value in STATUSES,
)
# Fields that are not named here may hold anything.
Fields = dict[str, Any]
ARM: Fields = {
    **dict.fromkeys(("study", "arm", "family", "message", "checksum"), TEXT),
    **dict.fromkeys(("seconds", "compile_seconds"), SECONDS),
    **dict.fromkeys(("parameters", "records"), COUNT),
    "size": NUMBER,
    "status": STATUS,
}
VERDICT: Fields = {
    **dict.fromkeys(("kind", "severity", "study", "where", "sentence"), TEXT),
    **dict.fromkeys(("cause", "remedy", "reference"), TEXT),
    **dict.fromkeys(("reason", "other_cause", "tried"), TEXT),
    **dict.fromkeys(("number", "low", "high", "threshold", "after"), NUMBER),
}
CLAIM: Fields = {
    **dict.fromkeys(("claim", "statement", "holds", "sentence"), TEXT),
    "number": COUNT,
    "lines": [
        {
            "line": TEXT,
            **dict.fromkeys(("points", "met"), COUNT),
            **dict.fromkeys(("misfit", "at", "predicted", "refined"), NUMBER),
            **dict.fromkeys(("measured", "low", "high"), NUMBER),
        }
    ],
}
# A list with the fields of an entry stands for any number of such entries.
SUMMARY: Fields = {
    "verdicts": [VERDICT],
    "claims": [CLAIM],
    "arms": [ARM],
    "environment": {},
    "notes": {},
    "initialisers": {},
    "config": {},
    **dict.fromkeys(("command", "started"), TEXT),
    "seconds": SECONDS,
}

ROW = " ".join(["%s"] * len(Record._fields))


def valid_summary(found: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the part of a summary that holds what it should, and what is wrong.

    A value of null is allowed everywhere: it is a number that was not finite, or
    something that is not known.

    Returns:
        The summary without the fields and entries that are wrong; and for each of
        those a text that names it and says what it is and what is wanted.

    Example:
        >>> valid_summary({"seconds": 3.5, "arms": [{"arm": "a", "status": "done"}]})
        ({'seconds': 3.5, 'arms': [{'arm': 'a'}]}, ["`arms[0].status` is 'done'; ...
    """
    faults: list[str] = []
    summary = _valid(found, SUMMARY, "", faults)
    arms = summary.get("arms") or []
    for index, arm in enumerate(arms):
        if arm.get("arm") is None:
            faults.append(f"`arms[{index}]` has no name `arm`")
    for name, count in Counter(arm.get("arm") for arm in arms).items():
        if name is not None and count > 1:
            faults.append(f"`arms` has {count} entries of {name!r}; wanted one")
    return summary, faults


def _valid(value: Any, wanted: Any, where: str, faults: list[str]) -> Any:
    """Return what is valid in `value`, or `NOTHING`."""
    if isinstance(wanted, Kind):
        if value is None or _is(value, wanted, where, faults):
            return value
        return NOTHING
    kind = LIST if isinstance(wanted, list) else OBJECT
    if value is None or not _is(value, kind, where, faults):
        return NOTHING
    if isinstance(wanted, list):
        entries = (
            _valid(entry, wanted[0], f"{where}[{index}]", faults)
            for index, entry in enumerate(value)
        )
        return [entry for entry in entries if entry is not NOTHING]
    prefix = f"{where}." if where else ""
    fields = {
        name: _valid(each, wanted[name], f"{prefix}{name}", faults)
        if name in wanted
        else each
        for name, each in value.items()
    }
    return {name: each for name, each in fields.items() if each is not NOTHING}


def _is(value: Any, kind: Kind, where: str, faults: list[str]) -> bool:
    if kind.holds(value):
        return True
    faults.append(f"`{where}` is {reprlib.repr(value)}; wanted {kind.wanted}")
    return False


def measured(records: Iterable[Record]) -> dict[str, Any]:
    """Return the fields by which the entry of an arm says what was measured.

    Args:
        records: All records of the arm, in any order.

    Returns:
        Their number `records`, and a `checksum` of their values.

    Example:
        >>> record = Record("time", "rnn-9", "RNN", 9, 0, 0, "loss", "", None, 2.3)
        >>> measured([record])
        {'records': 1, 'checksum': '...'}
    """
    rows = sorted(ROW % (*r[:3], float(r.size), *r[4:]) for r in records)
    digest = hashlib.blake2b("\n".join(rows).encode(), digest_size=8)
    return {"records": len(rows), "checksum": digest.hexdigest()}


def damage(arm: dict[str, Any], records: list[Record]) -> str:
    """Return what is wrong with an arm that has ended; empty if it is intact.

    The entry of a run that was made before checksums were written says neither how many
    records there were nor which. Such an arm counts as intact if it has any.

    Args:
        arm: Its entry in the summary.
        records: The records of the arm in `records.csv`.
    """
    count = arm.get("records")
    if count is None or arm.get("checksum") is None:
        return "" if records else "records.csv has no records of it"
    if len(records) != count:
        return f"records.csv has {len(records)} of its {count} records"
    if measured(records)["checksum"] != arm["checksum"]:
        return "its records in records.csv are not those that were measured"
    return ""


def damaged_arms(summary: dict[str, Any], records: Iterable[Record]) -> list[str]:
    """Return a sentence on each arm that has ended and is damaged.

    If there are no records at all, every arm would have one, so none is returned.
    """
    of_arm = by_arm(records)
    if not of_arm:
        return []
    return [
        f"{arm['arm']} is damaged: {reason}. `jaxnets contrast --resume` measures it "
        "again."
        for arm in summary.get("arms") or []
        if arm.get("arm") is not None and arm.get("status") in ("finished", "stopped")
        if (reason := damage(arm, of_arm.get(arm["arm"], [])))
    ]


def by_arm(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each arm, in their order."""
    of_arm: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        of_arm[record.arm].append(record)
    return dict(of_arm)
