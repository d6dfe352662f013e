"""ABC notation: the notes of a tune, and whether its bars are full."""

import re
from fractions import Fraction
from typing import NamedTuple

from jaxnets.tasks.music.pitches import key_of, pitch_of


FIELD = re.compile(r"\s*([A-Zw]):(?![|:])(.*)")
NOTE = r"(?:\^{1,2}|_{1,2}|=)?[A-Ga-g][,']*"
LENGTH = r"\d{0,3}(?:/\d{0,3})*"
ONE_NOTE = re.compile(f"({NOTE})({LENGTH})")
TOKEN = re.compile(
    rf"""
    (?P<skip>    [\s`\\y~.uvT)-] | "[^"]*" | ![^!]*! | \{{[^}}]*\}} | \((?!\d) )
  | (?P<field>   \[[A-Z]:[^\]]*\] )
  | (?P<bar>     (?:\[\||[|:]+)\]?(?:\s*\[?\d(?:[,-]\d)*)? | \[\d(?:[,-]\d)* )
  | (?P<tuplet>  \(\d(?::\d?){{0,2}} )
  | (?P<broken>  >{{1,3}}|<{{1,3}} )
  | (?P<note>    {NOTE}{LENGTH} )
  | (?P<rest>    [zx]{LENGTH} )
  | (?P<chord>   \[(?:{NOTE}{LENGTH}[\s-]*)+\]{LENGTH} )
    """,
    re.VERBOSE,
)
# The notes of a tuplet take the time of so many; those that are not named, of two, or
# of three in a compound metre.
TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


class Note(NamedTuple):
    """A note: when it starts and how long it is, in whole notes, and its MIDI pitch."""

    start: Fraction
    length: Fraction
    pitch: int


class Bar(NamedTuple):
    """A bar: its length and that of the metre, in whole notes.

    `edge` is true for the first and the last bar of a part that is repeated or ends,
    where an upbeat makes it shorter.
    """

    length: Fraction
    metre: Fraction | None
    edge: bool


class Tune(NamedTuple):
    """A tune as it is written; repeats are not played."""

    notes: list[Note]
    bars: list[Bar]


def read_tune(text: str) -> Tune:
    r"""Return the tune in ABC notation.

    Raises:
        ValueError: If it is not in ABC notation. The error shows the place.

    Example:
        >>> tune = read_tune("X:1\nM:2/4\nL:1/8\nK:G\nD|G2 F2|G4|]")
        >>> [note.pitch for note in tune.notes]
        [62, 67, 66, 67]
        >>> has_full_bars(tune)
        True
    """
    reader = _Reader()
    for line in text.splitlines():
        reader.read_line(re.sub(r"(?<!\\)%.*", "", line))
    return reader.ended()


def has_full_bars(tune: Tune) -> bool:
    """Return whether a tune has notes and all bars have the length of its metre.

    The first and the last bar of a part may be shorter, but not all bars.
    """
    full = [bar.length == bar.metre for bar in tune.bars]
    return any(full) and all(
        ok or (bar.edge and bar.metre is not None and bar.length < bar.metre)
        for ok, bar in zip(full, tune.bars, strict=True)
    )


class _Reader:
    """Reads a tune line by line."""

    def __init__(self):
        self._notes: list[Note] = []
        self._bars: list[Bar] = []
        self._key: dict[str, int] | None = None
        self._accidentals: dict[str, int] = {}
        self._metre: Fraction | None = Fraction(1)
        self._compound = False
        self._unit: Fraction | None = None
        self._time = self._bar_start = Fraction(0)
        self._edge = True
        # The factor of the coming notes of a tuplet, and how many they are.
        self._tuplet, self._left = Fraction(1), 0
        # The indices of the notes that came last, and the time that they took.
        self._last: list[int] = []
        self._step = Fraction(0)
        # The factor of the note after one that is dotted, and pitches that are tied.
        self._broken = Fraction(1)
        self._tied: set[int] = set()

    def read_line(self, line: str) -> None:
        if field := FIELD.fullmatch(line):
            self._set(field[1], field[2].strip())
            return
        if self._key is None:
            if line.strip():
                raise ValueError(f"{line[:40]!r} stands before a line K: with the key")
            return
        place = 0
        while place < len(line):
            token = TOKEN.match(line, place)
            if token is None:
                raise ValueError(f"{line[place : place + 20]!r} is not ABC notation")
            self._read(str(token.lastgroup), token[0])
            place = token.end()

    def ended(self) -> Tune:
        if self._key is None:
            raise ValueError("there is no line K: with the key")
        self._end_bar(edge=True)
        return Tune(self._notes, self._bars)

    def _set(self, name: str, value: str) -> None:
        if name == "K":
            self._key = key_of(value)
        elif name == "M":
            self._metre = _metre(value)
            self._compound = value.partition("/")[0] in ("6", "9", "12")
            self._edge = True
        elif name == "L":
            self._unit = _fraction(value)
        elif name == "P":
            self._end_bar(edge=True)

    def _read(self, kind: str, token: str) -> None:
        if kind == "skip":
            if token == "-":
                self._tie()
        elif kind == "field":
            self._set(token[1], token[3:-1].strip())
        elif kind == "bar":
            self._end_bar(edge=token.strip() != "|")
        elif kind == "tuplet":
            self._begin_tuplet(token)
        elif kind == "broken":
            self._break(token)
        elif kind == "rest":
            self._add([], token[1:])
        elif kind == "note":
            self._add([token], "")
        else:
            inner, _, length = token[1:].rpartition("]")
            self._add([note[0] for note in ONE_NOTE.finditer(inner)], length)
            if "-" in inner:
                self._tie()

    def _add(self, notes: list[str], length: str) -> None:
        """Add notes at one time, each with its length, which `length` multiplies."""
        found = [ONE_NOTE.findall(note)[0] for note in notes]
        lengths = [_factor(own) for _, own in found] or [Fraction(1)]
        factor = _factor(length) * self._broken * self._default()
        if self._left:
            factor, self._left = factor * self._tuplet, self._left - 1
        tied, before = self._tied, self._last
        self._tied, self._last, self._broken = set(), [], Fraction(1)
        for (name, _), own in zip(found, lengths, strict=False):
            pitch = pitch_of(name, self._key or {}, self._accidentals)
            note = Note(self._time, own * factor, pitch)
            held = [k for k in before if pitch in tied and _joins(self._notes[k], note)]
            if held:
                longer = self._notes[held[0]].length + note.length
                self._notes[held[0]] = self._notes[held[0]]._replace(length=longer)
            else:
                self._notes.append(note)
            self._last.append(held[0] if held else len(self._notes) - 1)
        self._step = lengths[0] * factor
        self._time += self._step

    def _tie(self) -> None:
        self._tied = {self._notes[k].pitch for k in self._last}

    def _begin_tuplet(self, token: str) -> None:
        count, *more = (int(n) if n else 0 for n in token[1:].split(":"))
        usual = TUPLETS.get(count, 3 if self._compound else 2)
        time = (more[0] if more else 0) or usual
        if not count:
            raise ValueError(f"{token!r} is a tuplet of no notes")
        self._tuplet = Fraction(time, count)
        self._left = (more[1] if len(more) > 1 else 0) or count

    def _break(self, token: str) -> None:
        """Make the note before longer and the next one shorter, or the reverse."""
        short = Fraction(1, 2 ** len(token))
        before = 2 - short if token[0] == ">" else short
        change = self._step * (before - 1)
        self._time += change
        for k in self._last:
            longer = self._notes[k].length + change
            self._notes[k] = self._notes[k]._replace(length=longer)
        self._broken = 2 - before

    def _default(self) -> Fraction:
        """Return the length of a note without a number, in whole notes."""
        if self._unit is not None:
            return self._unit
        short = self._metre is not None and self._metre < Fraction(3, 4)
        return Fraction(1, 16 if short else 8)

    def _end_bar(self, edge: bool) -> None:
        length = self._time - self._bar_start
        if length:
            self._bars.append(Bar(length, self._metre, self._edge or edge))
            self._edge = edge
        elif edge and self._bars:
            # A part ends after a plain bar line.
            self._bars[-1] = self._bars[-1]._replace(edge=True)
        self._edge = self._edge or edge
        self._bar_start = self._time
        self._accidentals = {}


def _joins(before: Note, note: Note) -> bool:
    ended = before.start + before.length == note.start
    return ended and before.pitch == note.pitch


def _metre(text: str) -> Fraction | None:
    if text.lower() in ("none", ""):
        return None
    return Fraction(1) if text in ("C", "C|") else _fraction(text)


def _fraction(text: str) -> Fraction:
    if (
        not re.fullmatch(r"[0-9]{1,3}/[0-9]{1,3}", text)
        or text.startswith("0")
        or "/0" in text
    ):
        raise ValueError(f"{text[:20]!r} is no fraction such as 3/4")
    return Fraction(text)


def _factor(text: str) -> Fraction:
    """Return the number that multiplies a length: "3/2" or "/" for a half."""
    upper, *lower = text.split("/")
    result = Fraction(int(upper or 1))
    for part in lower:
        if part and not int(part):
            raise ValueError(f"the length {text!r} divides by zero")
        result /= int(part or 2)
    return result
