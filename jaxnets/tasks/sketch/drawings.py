"""Drawings as offsets of a pen, and batches of them."""

import dataclasses
import itertools
import math
from typing import NamedTuple

import numpy as np


# The strokes of a drawing, each a list of places in pixels.
Polylines = list[list[tuple[float, float]]]
# A drawing ends with a point less than these pixels from one where the pen was lifted,
# at which it is lifted again. So its end is a point too, which a network can predict.
STILL = 2.0


@dataclasses.dataclass(frozen=True)
class Drawings:
    """Drawings one after the other.

    Attributes:
        points: `(dx, dy, pen)` of each point in pixels, int16 `(N, 3)`: the offset from
            the point before, and 1 if the pen is lifted after the point, else 0.
        offsets: Where each drawing begins, and the end of the last, `(drawings + 1,)`.
    """

    points: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        """The number of drawings."""
        return len(self.offsets) - 1

    def drawing(self, number: int) -> np.ndarray:
        """Return the points of a drawing and its end, `(T, 3)`.

        The first has the offset zero: where a drawing begins is no part of it, because
        the page of a person who draws has no fixed origin either.
        """
        start, end = self.offsets[number : number + 2]
        points = np.zeros((end - start + 1, 3), np.float32)
        points[:-1] = self.points[start:end]
        points[0, :2], points[-2:, 2] = 0, 1
        return points


class DrawingSplits(NamedTuple):
    """Drawings for training, for decisions during training, and for the last figure."""

    train: Drawings
    validation: Drawings
    test: Drawings


class PointBatch(NamedTuple):
    """Drawings of several lengths.

    Attributes:
        points: `(B, T, 3)`, in pixels; zero after the end of a drawing.
        lengths: Number of points of each, int32 `(B,)`.
    """

    points: np.ndarray
    lengths: np.ndarray


def point_batch(
    drawings: Drawings, rows: np.ndarray, length: int, draw: np.random.Generator
) -> PointBatch:
    """Return the drawings of `rows`; of those longer than `length`, a part of it.

    Each coordinate of an offset gets a random number between -1/2 and 1/2. Without it
    a density could grow without bound at whole numbers. With it, the mean of minus the
    log-density in pixels is at least that of minus the log-probability of the pixels.

    Source: Theis, van den Oord and Bethge 2016, "A note on the evaluation of generative
    models", section 3.1.
    """
    points = np.zeros((len(rows), length, 3), np.float32)
    lengths = np.zeros(len(rows), np.int32)
    for i, row in enumerate(rows):
        found = drawings.drawing(int(row))
        start = int(draw.integers(0, max(len(found) - length, 0) + 1))
        found = found[start : start + length]
        lengths[i] = len(found)
        found[:, :2] += draw.uniform(-0.5, 0.5, (len(found), 2))
        found[0, :2] = 0
        points[i, : len(found)] = found
    return PointBatch(points, lengths)


def without_end(points: np.ndarray) -> np.ndarray:
    """Return the points `(T, 3)` before the end of the drawing, if there is one.

    Example:
        >>> without_end(np.array([[3, 4, 0], [9, 9, 1], [1, 0, 1], [7, 7, 0]]))
        array([[3, 4, 0],
               [9, 9, 1]])
    """
    still = np.linalg.norm(points[1:, :2], axis=1) < STILL
    ends = np.flatnonzero(still & (points[:-1, 2] == 1) & (points[1:, 2] == 1))
    return points[: ends[0] + 1] if len(ends) else points


def in_steps(line: list[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """Return a line with places between its own, about `step` pixels apart.

    Example:
        >>> in_steps([(0.0, 0.0), (0.0, 20.0), (9.0, 20.0)], 10.0)
        [(0.0, 0.0), (0.0, 10.0), (0.0, 20.0), (9.0, 20.0)]
    """
    found = line[:1]
    for (x, y), (x_end, y_end) in itertools.pairwise(line):
        parts = max(round(math.dist((x, y), (x_end, y_end)) / step), 1)
        shares = [k / parts for k in range(1, parts + 1)]
        found += [(x + k * (x_end - x), y + k * (y_end - y)) for k in shares]
    return found


def strokes_of(
    points: np.ndarray, place: tuple[float, float] = (0.0, 0.0)
) -> Polylines:
    """Return the strokes of points `(T, 3)`, of which the first is at `place`.

    Example:
        >>> strokes_of(np.array([[0, 0, 0], [3, 4, 1], [1, 0, 1]]))
        [[(0.0, 0.0), (3.0, 4.0)], [(4.0, 4.0)]]
    """
    places = np.cumsum(np.asarray(points, float)[:, :2], axis=0)
    places += np.asarray(place) - places[:1]
    cuts = np.flatnonzero(points[:-1, 2]) + 1
    parts = np.split(places, cuts)
    return [[(float(x), float(y)) for x, y in part] for part in parts]


def points_of(strokes: Polylines) -> np.ndarray:
    """Return the points `(T, 3)` of strokes, float32, as `strokes_of` reads them.

    Example:
        >>> points_of([[(5.0, 5.0), (8.0, 9.0)], [(9.0, 9.0)]]).astype(int)
        array([[0, 0, 0],
               [3, 4, 1],
               [1, 0, 1]])
    """
    places = np.array([place for stroke in strokes for place in stroke], np.float32)
    lifted = [k == len(stroke) - 1 for stroke in strokes for k in range(len(stroke))]
    steps = np.diff(places, axis=0, prepend=places[:1])
    return np.column_stack([steps, np.array(lifted, np.float32)])
