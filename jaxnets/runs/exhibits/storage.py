"""The file of the exhibits: written after a check, and read with one."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeGuard, get_args

from jaxnets.runs.exhibits.kinds import (
    Exhibit,
    Logo,
    Marked,
    Matrix,
    Roll,
    Strokes,
)
from jaxnets.runs.files import TO_DRAW, json_text, read_json, write_text


EXHIBITS = "exhibits.json"
# A drawing of more cells, letters or points makes the page slow.
MOST_CELLS = 20_000
# Differences and squares of smaller numbers are finite.
LARGEST = 1e100
# A name of a file is no address, which a page would follow, and no other folder.
FILE_NAME = re.compile(r"[\w-][\w .-]*")
KINDS: dict[str, type[Exhibit]] = {kind.__name__: kind for kind in get_args(Exhibit)}


def write_exhibits(folder: Path, exhibits: Iterable[Exhibit]) -> None:
    """Write the exhibits of a run.

    Raises:
        ValueError: If one of them cannot be drawn.
        OSError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> from jaxnets.runs.exhibits import Text
        >>> with tempfile.TemporaryDirectory() as name:
        ...     write_exhibits(Path(name), [Text("A sample", "", "abc")])
        ...     read_exhibits(Path(name))
        ([Text(title='A sample', caption='', text='abc')], [])
    """
    entries = []
    for exhibit in exhibits:
        if fault := _fault(exhibit):
            raise ValueError(f"The exhibit {exhibit.title!r} {fault}.")
        entries.append({"kind": type(exhibit).__name__, **exhibit._asdict()})
    write_text(folder / EXHIBITS, json_text({"exhibits": entries}) + "\n")


def read_exhibits(folder: Path) -> tuple[list[Exhibit], list[str]]:
    """Return the exhibits of a run that can be drawn, and what is wrong with others.

    Raises:
        ValueError: If the file is not JSON.
        OSError: If it may not be read.
    """
    found = read_json(folder / EXHIBITS, TO_DRAW) or {}
    entries = found.get("exhibits", [])
    if not isinstance(entries, list):
        return [], ["`exhibits` is not a list"]
    exhibits, faults = [], []
    for number, entry in enumerate(entries):
        exhibit = _parsed(entry)
        fault = "is of no known kind" if exhibit is None else _fault(exhibit)
        if exhibit is None or fault:
            faults.append(f"exhibit {number} {fault}")
        else:
            exhibits.append(exhibit)
    return exhibits, faults


def _parsed(entry: Any) -> Exhibit | None:
    if not isinstance(entry, dict) or entry.get("kind") not in KINDS:
        return None
    kind = KINDS[entry["kind"]]
    return kind(*(entry.get(name) for name in kind._fields))  # pyright: ignore


def _is_number(value: Any) -> TypeGuard[float]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # The comparison is false for NaN.
    return number and abs(value) < LARGEST


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _series(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(check, value))


def _numbers(count: int) -> Callable[[Any], bool]:
    return lambda value: _series(_is_number)(value) and len(value) == count


def _is_heights(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(map(_is_text, value)) and all(map(_is_number, value.values()))


# What each field must hold, and how that is said.
CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "title": (_is_text, "a text"),
    "caption": (_is_text, "a text"),
    "text": (_is_text, "a text"),
    "unit": (_is_text, "a text"),
    "file": (
        lambda value: _is_text(value) and bool(FILE_NAME.fullmatch(value)),
        "the name of a file in the folder of the run",
    ),
    "tokens": (_series(_is_text), "a list of texts"),
    "rows": (_series(_is_text), "a list of texts"),
    "columns": (_series(_is_text), "a list of texts"),
    "weights": (_series(_is_number), "a list of numbers"),
    "values": (_series(_series(_is_number)), "rows of numbers"),
    "strokes": (_series(_series(_numbers(2))), "lines of points (x, y)"),
    "given": (lambda value: isinstance(value, int), "a whole number"),
    "heights": (_series(_is_heights), "a number for each letter, by position"),
    "notes": (_series(_numbers(3)), "a list of (start, length, pitch)"),
}


def _fault(exhibit: Exhibit) -> str:
    """Return what is wrong with an exhibit; nothing if it can be drawn."""
    for name, value in exhibit._asdict().items():
        check, wanted = CHECKS[name]
        if not check(value):
            return f"has a `{name}` that is not {wanted}"
    if isinstance(exhibit, Marked) and len(exhibit.tokens) != len(exhibit.weights):
        return "does not have one weight for each token"
    if isinstance(exhibit, Matrix):
        shape = {len(exhibit.columns)}
        if len(exhibit.rows) != len(exhibit.values) or shape != set(
            map(len, exhibit.values)
        ):
            return "has values whose shape is not that of its labels"
    count = _cells(exhibit)
    if count > MOST_CELLS:
        return f"has {count} parts; wanted at most {MOST_CELLS}"
    return ""


def _cells(exhibit: Exhibit) -> int:
    match exhibit:
        case Marked():
            return len(exhibit.tokens)
        case Matrix():
            return len(exhibit.rows) * len(exhibit.columns)
        case Strokes():
            return sum(map(len, exhibit.strokes))
        case Logo():
            return sum(map(len, exhibit.heights))
        case Roll():
            return len(exhibit.notes)
    return 1
