"""The default drawings: capital letters of straight lines, by an unsteady hand."""

import numpy as np

from jaxnets.tasks.sketch.drawings import (
    Drawings,
    DrawingSplits,
    in_steps,
    points_of,
)
from jaxnets.training.trainer.order import generator


# The strokes of each letter on a grid of 4 by 6, whose y grows downwards.
LETTERS = {
    "A": "06 20 46;14 34",
    "E": "40 00 06 46;03 33",
    "F": "40 00 06;03 33",
    "H": "00 06;03 43;40 46",
    "K": "00 06;40 03 46",
    "L": "00 06 46",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "T": "00 40;20 26",
    "V": "00 26 40",
    "W": "00 16 23 36 40",
    "X": "00 46;40 06",
    "Y": "00 23 40;23 26",
    "Z": "00 40 06 46",
}
# Pixels of a unit of the grid and between two points, and the standard deviation of the
# hand in pixels: it is added to each coordinate of each offset.
UNIT, STEP, DEVIATION = 30.0, 12.0, 1.0
COUNTS = (4000, 300, 300)
# The entropy of the hand in nats a point.
ENTROPY = float(1 + np.log(2 * np.pi * DEVIATION**2))


def drawn_letters() -> DrawingSplits:
    """Return drawings of random letters, sizes, slants and rotations.

    Example:
        >>> [len(part) for part in drawn_letters()]
        [4000, 300, 300]
    """
    draw = generator(0, 0)
    return DrawingSplits(*(_drawings(draw, count) for count in COUNTS))


def _drawings(draw: np.random.Generator, count: int) -> Drawings:
    found = [_letter(draw, LETTERS[name]) for name in draw.choice([*LETTERS], count)]
    offsets = np.cumsum([0, *map(len, found)], dtype=np.int32)
    return Drawings(np.concatenate(found), offsets)


def _letter(draw: np.random.Generator, strokes: str) -> np.ndarray:
    """Return the points `(T, 3)` of a letter."""
    width, height = UNIT * draw.uniform(0.7, 1.2, 2)
    slant, turn = draw.uniform(-0.3, 0.3), draw.uniform(-0.1, 0.1)
    cos, sin = np.cos(turn), np.sin(turn)
    shape = np.array([[width, 0], [slant * height, height]])
    shape = shape @ np.array([[cos, sin], [-sin, cos]])
    lines = []
    for stroke in strokes.split(";"):
        corners = np.array([[int(x), int(y)] for x, y in stroke.split()]) @ shape
        lines.append(in_steps([(float(x), float(y)) for x, y in corners], STEP))
    points = points_of(lines)
    points[:, :2] = np.rint(draw.normal(points[:, :2], DEVIATION))
    return points.astype(np.int16)


def optimum(lengths: np.ndarray) -> float:
    """Return a loss in nats a point that no model is below on average.

    It is the entropy of the hand's random offsets, for a model that knows the letter,
    its size, slant and rotation. Such a model is certain of the end of the drawing. The
    rounding to pixels is left out; it makes the best loss larger.

    Args:
        lengths: Number of points of each drawing, with its end.
    """
    predicted = np.sum(lengths - 1)
    return float(ENTROPY * (predicted - len(lengths)) / predicted)
