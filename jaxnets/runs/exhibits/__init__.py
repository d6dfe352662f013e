"""Exhibits: what a task shows of its results, in a form that a page can draw.

The file `exhibits.json` of a run holds them. Each kind has a title, and a caption of
one or two sentences that says what to see.
"""

from jaxnets.runs.exhibits.kinds import (
    Exhibit,
    FileLink,
    Logo,
    Marked,
    Matrix,
    Roll,
    Strokes,
    Text,
)
from jaxnets.runs.exhibits.storage import EXHIBITS, read_exhibits, write_exhibits


__all__ = [
    "EXHIBITS",
    "Exhibit",
    "FileLink",
    "Logo",
    "Marked",
    "Matrix",
    "Roll",
    "Strokes",
    "Text",
    "read_exhibits",
    "write_exhibits",
]
