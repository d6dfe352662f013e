"""The kinds of exhibits."""

from typing import NamedTuple


class Text(NamedTuple):
    """A text whose lines are kept, such as a sample.

    Attributes:
        title: Heading.
        caption: What to see.
        text: The text.

    Example:
        >>> Text("A sample", "Drawn at temperature 0.8.", "the the").text
        'the the'
    """

    title: str
    caption: str
    text: str


class Marked(NamedTuple):
    """A text with a number for each of its parts, which colours it.

    Attributes:
        title: Heading.
        caption: What to see.
        tokens: The parts, with the blanks between them.
        weights: A number in [-1, 1] for each part.
        unit: What the numbers are.

    Example:
        >>> Marked("Saliency", "", ["not ", "bad"], [-0.5, 1.0], "share").weights[1]
        1.0
    """

    title: str
    caption: str
    tokens: list[str]
    weights: list[float]
    unit: str


class Matrix(NamedTuple):
    """A heat map, such as attention, a confusion matrix or a spectrogram.

    Attributes:
        title: Heading.
        caption: What to see.
        rows: A label for each row, which may be empty.
        columns: A label for each column, which may be empty.
        values: The numbers, row by row.
        unit: What the numbers are.

    Example:
        >>> Matrix("Confusion", "", ["a", "b"], ["a", "b"], [[3, 1], [0, 4]], "").rows
        ['a', 'b']
    """

    title: str
    caption: str
    rows: list[str]
    columns: list[str]
    values: list[list[float]]
    unit: str


class Strokes(NamedTuple):
    """A drawing of lines. The y axis points down, as on a screen.

    Attributes:
        title: Heading.
        caption: What to see.
        strokes: The lines, each a list of points `(x, y)`.
        given: How many of them came from the data; the network drew the others.

    Example:
        >>> Strokes("Letter", "", [[(0, 0), (1, 2)]], 1).given
        1
    """

    title: str
    caption: str
    strokes: list[list[tuple[float, float]]]
    given: int


class Logo(NamedTuple):
    """A sequence logo: letters on top of each other at each position.

    Attributes:
        title: Heading.
        caption: What to see.
        heights: The height of each letter, position by position.

    Example:
        >>> Logo("Kernel 3", "", [{"A": 0.1, "G": 1.8}]).heights[0]["G"]
        1.8
    """

    title: str
    caption: str
    heights: list[dict[str, float]]


class Roll(NamedTuple):
    """A piano roll.

    Attributes:
        title: Heading.
        caption: What to see.
        notes: `(start, length, pitch)` of each, in beats and as the pitch of MIDI.

    Example:
        >>> Roll("Tune", "", [(0, 1, 60), (1, 0.5, 62)]).notes[1]
        (1, 0.5, 62)
    """

    title: str
    caption: str
    notes: list[tuple[float, float, float]]


class FileLink(NamedTuple):
    """A file beside the page, such as a sound or a page that stands alone.

    Attributes:
        title: Heading.
        caption: What to see.
        file: Its name; it lies in the folder of the run.

    Example:
        >>> FileLink("Draw yourself", "Opens from disk.", "sketch.html").file
        'sketch.html'
    """

    title: str
    caption: str
    file: str


Exhibit = Text | Marked | Matrix | Strokes | Logo | Roll | FileLink
