"""Heat maps, lines, sequence logos and piano rolls as SVG."""

import math
from collections import defaultdict
from collections.abc import Iterable

from jaxnets.report.html.markup import Markup, join, tag, typeset
from jaxnets.report.intervals import number
from jaxnets.runs.exhibits import Exhibit, Logo, Matrix, Roll, Strokes


# Widths and heights are in the units of the drawing, about one pixel each. A page of
# 1,280 pixels has two drawings side by side, with 528 pixels for each.
WIDTH, FONT, CHARACTER = 520.0, 13.0, 7.5
SMALLEST_CELL, LARGEST_CELL = 2.0, 34.0
# Cells of one shade are one path. More shades than these cannot be told apart.
SHADES = 20
# A matrix of at most so many cells has its numbers written into it.
MOST_NUMBERS = 150
# Families of colours of the letters of a logo; the others take the colour of the text.
COLORS = {"A": 4, "C": 1, "G": 2, "T": 0}
TONES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


def matrix_svg(matrix: Matrix) -> Markup:
    """Return a heat map, with its numbers if it is small."""
    values = matrix.values
    flat = [value for row in values for value in row]
    if not flat:
        return Markup("")
    low, high = min(flat), max(flat)
    shade = lambda value: round(SHADES * (value - low) / (high - low or 1.0))
    left = CHARACTER * max(map(len, matrix.rows)) + 8
    count = len(matrix.columns)
    cell = min(max((WIDTH - left) / count, SMALLEST_CELL), LARGEST_CELL)
    height = min(max(cell, FONT + 3 if any(matrix.rows) else cell), LARGEST_CELL)
    longest = max(map(len, matrix.columns))
    top = CHARACTER * longest + 8 if longest > 1 else FONT + 5
    paths: defaultdict[int, list[str]] = defaultdict(list)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            x, y = left + j * cell, top + i * height
            paths[shade(value)].append(
                f"M{x:.1f} {y:.1f}h{cell:.2f}v{height:.2f}H{x:.1f}"
            )
    shades = [
        tag("path", d="".join(found), class_="cell", fill_opacity=f"{level / SHADES:g}")
        for level, found in sorted(paths.items())
        if level
    ]
    rows = [
        _text(label, left - 6, top + (i + 0.5) * height, anchor="end")
        for i, label in enumerate(matrix.rows)
    ]
    columns = [
        _column(label, left + (j + 0.5) * cell, top - 6, longest > 1)
        for j, label in enumerate(matrix.columns)
    ]
    width, total = left + count * cell + 1, top + len(values) * height + 1
    frame = tag(
        "rect", x=left, y=top, width=f"{count * cell:.1f}",
        height=f"{len(values) * height:.1f}", class_="frame",
    )  # fmt: skip
    numbers = _numbers(values, shade, left, top, cell, height)
    parts = [*shades, frame, *rows, *columns, *numbers]
    key = f"{_short(low)} (blank) to {_short(high)} {matrix.unit}".strip()
    return join([_svg(matrix, width, total, parts), _key(key)])


def strokes_svg(drawing: Strokes) -> Markup:
    """Return lines, those that were given apart from those that the network drew."""
    points = [point for stroke in drawing.strokes for point in stroke]
    if not points:
        return Markup("")
    xs, ys = zip(*points, strict=True)
    size = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    scale, margin = 160 / size, 10
    lines = []
    for index, stroke in enumerate(drawing.strokes):
        moved = (
            f"{margin + scale * (x - min(xs)):.1f},{margin + scale * (y - min(ys)):.1f}"
            for x, y in stroke
        )
        kind = "given" if index < drawing.given else "drawn"
        lines.append(tag("polyline", points=" ".join(moved), class_=f"stroke {kind}"))
    width = scale * (max(xs) - min(xs)) + 2 * margin
    height = scale * (max(ys) - min(ys)) + 2 * margin
    return _svg(drawing, width, height, lines)


def logo_svg(logo: Logo) -> Markup:
    """Return a sequence logo, the tallest letter of each position on top."""
    tallest = max((sum(column.values()) for column in logo.heights), default=0.0)
    if tallest <= 0:
        return Markup("")
    wide, high = 26.0, 120.0
    letters = []
    for index, column in enumerate(logo.heights):
        base = high
        for letter, height in sorted(column.items(), key=lambda entry: entry[1]):
            tall = high * height / tallest
            if tall < 0.5:
                continue
            # A capital of this font is 0.72 high where the font's size is 1.
            move = f"translate({index * wide:g} {base:.1f}) scale(1 {tall / 18:.3f})"
            family = COLORS.get(letter)
            color = "var(--text)" if family is None else f"var(--family-{family})"
            letters.append(
                tag(
                    "text", letter, transform=move, font_size=25, font_weight=700,
                    textLength=wide - 2, lengthAdjust="spacingAndGlyphs", fill=color,
                )
            )  # fmt: skip
            base -= tall
    places = [
        _text(str(index + 1), (index + 0.5) * wide, high + FONT, anchor="middle")
        for index in range(len(logo.heights))
    ]
    width = wide * len(logo.heights)
    return _svg(logo, width, high + 2 * FONT, [*letters, *places])


def roll_svg(roll: Roll) -> Markup:
    """Return a piano roll: time to the right, pitch upwards."""
    if not roll.notes:
        return Markup("")
    lowest = math.floor(min(pitch for _, _, pitch in roll.notes))
    highest = math.ceil(max(pitch for _, _, pitch in roll.notes))
    end = max(start + length for start, length, _ in roll.notes) or 1.0
    left, row = 40.0, 8.0
    beat = (WIDTH - left) / end
    bars = [
        tag(
            "rect", x=f"{left + beat * start:.1f}", y=f"{row * (highest - pitch):.1f}",
            width=f"{max(beat * length - 1, 1):.1f}", height=row - 1, class_="note",
        )
        for start, length, pitch in roll.notes
    ]  # fmt: skip
    labels = [
        _text(_tone(pitch), left - 6, row * (highest - pitch + 0.5), anchor="end")
        for pitch in {lowest, highest}
    ]
    height = max(row * (highest - lowest + 1), FONT)
    return _svg(roll, WIDTH, height, [*bars, *labels])


def _tone(pitch: int) -> str:
    """Return the name of a pitch of MIDI.

    Example:
        >>> _tone(60), _tone(69)
        ('C4', 'A4')
    """
    octave, tone = divmod(pitch, 12)
    return f"{TONES[tone]}{octave - 1}"


def _svg(
    exhibit: Exhibit, width: float, height: float, parts: Iterable[object]
) -> Markup:
    drawing = tag(
        "svg", *parts, viewBox=f"0 0 {width:.0f} {height:.0f}", width=f"{width:.0f}",
        height=f"{height:.0f}", role="img", aria_label=exhibit.title, font_size=FONT,
    )  # fmt: skip
    return tag(
        "div", drawing, class_="drawing", role="region", tabindex="0",
        aria_label=exhibit.title,
    )  # fmt: skip


def _key(text: str) -> Markup:
    return tag("p", typeset(text), class_="captions")


def _text(text: str, x: float, y: float, anchor: str, **more: object) -> Markup:
    return tag(
        "text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor,
        dominant_baseline="central", **more,
    )  # fmt: skip


def _column(label: str, x: float, y: float, upright: bool) -> Markup:
    if not upright:
        return _text(label, x, y - FONT / 2, anchor="middle")
    turn = f"rotate(-90 {x:.1f} {y:.1f})"
    return _text(label, x, y, anchor="start", transform=turn)


def _short(value: float | int) -> str:
    return number(round(value, 2))


def _numbers(values, shade, left, top, cell, height) -> list[Markup]:
    if sum(map(len, values)) > MOST_NUMBERS or cell < 4 * CHARACTER:
        return []
    return [
        _text(
            _short(value),
            left + (j + 0.5) * cell,
            top + (i + 0.5) * height,
            anchor="middle",
            class_="on-dark" if shade(value) > SHADES / 2 else None,
        )
        for i, row in enumerate(values)
        for j, value in enumerate(row)
    ]
