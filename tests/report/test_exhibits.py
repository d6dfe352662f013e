"""Exhibits: written and read again, drawn, and refused if they cannot be drawn."""

import json
import re
from typing import Any, cast

import pytest

from jaxnets.report import write_report
from jaxnets.runs.exhibits import (
    EXHIBITS,
    FileLink,
    Logo,
    Marked,
    Matrix,
    Roll,
    Strokes,
    Text,
    read_exhibits,
    write_exhibits,
)
from jaxnets.runs.records import write_records


ALL = [
    Text("A sample", "At temperature 0.8.", "if a < b:\n    pass"),
    Marked("Saliency", "", ["not ", "<b>bad"], [-0.5, 1.0], "share"),
    Matrix("Attention", "", ["ein", "Hund"], ["a", "dog", "."], [[1, 0, 0.25]] * 2, ""),
    Strokes("Letter", "", [[(0, 0), (1, 2)], [(1, 2), (3, 3)]], 1),
    Logo("Kernel 3", "", [{"A": 0.1, "G": 1.8}, {"T": 0.5}]),
    Roll("Tune", "", [(0, 1, 60), (1, 0.5, 67)]),
    FileLink("Sound", "", "one.wav"),
    FileLink("Draw yourself", "", "sketch.html"),
]


@pytest.fixture
def folder(tmp_path):
    write_records(tmp_path / "records.csv", [])
    write_exhibits(tmp_path, ALL)
    return tmp_path


def test_exhibits_are_read_as_they_were_written(folder):
    found, faults = read_exhibits(folder)
    plain = lambda exhibits: json.loads(json.dumps([e._asdict() for e in exhibits]))
    assert plain(found) == plain(ALL) and not faults


def test_the_page_draws_them_and_escapes_their_texts(folder):
    page = write_report(folder).read_text()
    body = re.search(
        r'<section id="results">(.*?)<section id="first-look">', page, re.S
    )
    assert body is not None
    drawn = body[1]
    assert "if a &lt; b:\n    pass" in drawn
    assert "&lt;b&gt;bad" in drawn and "<b>bad" not in drawn
    assert 'style="--share: 50%"' in drawn and 'class="against"' in drawn
    # The values of the matrix are 0, 0.25 and 1: two shades, and no path for the least.
    shades = re.findall(r'class="cell" fill-opacity="([\d.]+)"', drawn)
    assert shades == ["0.25", "1"]
    assert re.findall(r'class="stroke (\w+)"', drawn) == ["given", "drawn"]
    assert drawn.count('class="note"') == 2
    assert ">C4</text>" in drawn and ">G4</text>" in drawn
    # A logo: the tallest letter of a position is drawn last, on top.
    assert re.findall(r'lengthAdjust="spacingAndGlyphs"[^>]*>(\w)', drawn) == list(
        "AGT"
    )
    assert '<audio controls="" src="one.wav"' in drawn
    assert '<a href="sketch.html">' in drawn


@pytest.mark.parametrize(
    ("exhibit", "message"),
    [
        (Text("t", "c", cast(Any, 3)), "a `text` that is not a text"),
        (Marked("t", "c", ["a"], [], ""), "not have one weight for each token"),
        (Marked("t", "c", ["a"], [float("nan")], ""), "`weights` that is not"),
        (Matrix("t", "c", ["a"], ["b"], [[1, 2]], ""), "shape is not that of"),
        (Matrix("t", "c", ["a"] * 200, ["b"] * 200, [[1] * 200] * 200, ""), "at most"),
        (Strokes("t", "c", cast(Any, [[(1, 2, 3)]]), 0), "lines of points"),
        (Matrix("t", "c", ["a"], ["b"], [[1e308]], ""), "not rows of numbers"),
        (FileLink("t", "c", "../secret"), "name of a file"),
        (FileLink("t", "c", ".."), "name of a file"),
        (FileLink("t", "c", "javascript:alert(1)"), "name of a file"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_left_out(exhibit, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_exhibits(tmp_path, [exhibit])
    entry = {"kind": type(exhibit).__name__, **exhibit._asdict()}
    entries = [entry, {"kind": "Film"}, {"kind": "Text", **ALL[0]._asdict()}]
    (tmp_path / EXHIBITS).write_text(json.dumps({"exhibits": entries}))
    found, faults = read_exhibits(tmp_path)
    assert found == ALL[:1]
    assert message in faults[0] and faults[1] == "exhibit 1 is of no known kind"
