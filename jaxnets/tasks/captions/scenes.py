"""Scenes of handwritten digits, and captions that say where they are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxnets.data import Labelled
from jaxnets.tasks.decoder import END


# Pixels of a side of a digit, of its part of the canvas, and of the canvas.
DIGIT, PART, CANVAS = 8, 12, 24
NAMES = ("zero", "one", "two", "three", "four")
NAMES += ("five", "six", "seven", "eight", "nine")
WORDS = ["end", "a", "an", *NAMES, "above", "left", "of"]
# The longest caption, four digits in two rows, with its end.
MOST = 14
# The numbers of digits in the rows from top to bottom, by the number of digits.
LAYOUTS = {1: [(1,)], 2: [(2,), (1, 1)], 3: [(1, 2), (2, 1)], 4: [(2, 2)]}
# How far training turns digits in radians, scales them by a power of e, slants them,
# and bends them in pixels.
TURN, SCALE, SLANT, BEND = 0.15, 0.12, 0.1, 0.25


class Scenes(NamedTuple):
    """A batch of scenes.

    Attributes:
        image: Pixels in [0, 1], `(B, 24, 24, 1)`.
        targets: Words of the captions, `(B, 14)`, indices of `WORDS`.
        target_lengths: Number of words of each caption with its end, `(B,)`.
        corners: The top left pixel of the digit that a word names, `(B, 14, 2)`; -1 if
            it names none.
    """

    image: np.ndarray
    targets: np.ndarray
    target_lengths: np.ndarray
    corners: np.ndarray


def varied(digits: Labelled, draw: np.random.Generator) -> Labelled:
    """Return digits that are turned, scaled, slanted and bent at random.

    Args:
        digits: Images of digits `(N, 8, 8, 1)`, and which they are.
        draw: Random numbers.

    Source: Simard et al. 2003, "Best Practices for Convolutional Neural Networks
    Applied to Visual Document Analysis", section 2.
    """
    images = np.asarray(digits.x)[..., 0]
    count = len(images)
    turn, slant = draw.uniform(-TURN, TURN, count), draw.uniform(-SLANT, SLANT, count)
    height, width = np.exp(draw.uniform(-SCALE, SCALE, (2, count)))
    # The places that the pixels are taken from, rows and columns around the centre.
    row, column = np.mgrid[:DIGIT, :DIGIT][:, None] - (DIGIT - 1) / 2
    drawn = np.cos(turn), np.sin(turn), slant, height, width
    cos, sin, slant, height, width = (array[:, None, None] for array in drawn)
    places = np.stack(
        [
            cos * height * row - sin * width * column,
            (sin * height + slant) * row + cos * width * column,
        ],
        axis=-1,
    )
    # Random offsets at 3 x 3 places, and between them their weighted means.
    near = np.linspace(0, 2, DIGIT)[:, None] - np.arange(3)
    near = np.maximum(1 - np.abs(near), 0)
    offsets = BEND * draw.standard_normal((count, 3, 3, 2))
    places += np.einsum("hi,wj,nijc->nhwc", near, near, offsets)
    # There is no ink outside of an image.
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    places = np.clip(places + (DIGIT + 1) / 2, 0, DIGIT + 0.999)
    corner = places.astype(int)
    number = np.arange(count)[:, None, None]
    found = np.zeros(images.shape, np.float32)
    for step in np.ndindex(2, 2):
        share = np.prod(1 - np.abs(places - corner - step), axis=-1)
        at = corner + step
        found += share.astype(np.float32) * padded[number, at[..., 0], at[..., 1]]
    return Labelled(found[..., None], digits.y)


def scenes(digits: Labelled, count: int, draw: np.random.Generator) -> Scenes:
    """Return scenes with one to four digits, drawn at random.

    Args:
        digits: Images of digits `(N, 8, 8, 1)`, and which they are.
        count: Number of scenes.
        draw: Random numbers.

    Example:
        >>> from jaxnets.data import digits
        >>> found = scenes(digits().test, 1, np.random.default_rng(1))
        >>> caption(found.targets[0])
        'a five above a four'
    """
    images, labels = np.asarray(digits.x)[..., 0], np.asarray(digits.y)
    found = Scenes(
        np.zeros((count, CANVAS, CANVAS, 1), np.float32),
        np.full((count, MOST), END, np.int32),
        np.zeros(count, np.int32),
        np.full((count, MOST, 2), -1, np.int32),
    )
    for number in range(count):
        image, words = found.image[number, ..., 0], found.targets[number]
        length = 0
        for row, corners in enumerate(_layout(draw)):
            for place, (top, left) in enumerate(corners):
                index = int(draw.integers(len(labels)))
                image[top : top + DIGIT, left : left + DIGIT] = images[index]
                label = int(labels[index])
                before = "left of " if place else "above " if row else ""
                article = "an" if label == 8 else "a"
                phrase = f"{before}{article} {NAMES[label]}".split()
                words[length : length + len(phrase)] = [*map(WORDS.index, phrase)]
                length += len(phrase)
                found.corners[number, length - 1] = top, left
        found.target_lengths[number] = length + 1
    return found


def _layout(draw: np.random.Generator) -> list[list[tuple[int, int]]]:
    """Return the corners of the digits, row by row.

    Digits of a row differ by less than half their height, and those of two rows by at
    least their height, so that a scene has one caption.
    """
    layouts = LAYOUTS[int(draw.integers(1, len(LAYOUTS) + 1))]
    sizes = layouts[draw.integers(len(layouts))]
    rows = []
    for number, size in enumerate(sizes):
        free = PART if len(sizes) == 1 else 0
        top = number * PART + int(draw.integers(free + 1))
        row = []
        for place in range(size):
            slack = PART - DIGIT if size == 2 else CANVAS - DIGIT
            left = place * PART + int(draw.integers(slack + 1))
            row.append((top + int(draw.integers(PART - DIGIT)), left))
        rows.append(row)
    return rows


def caption(words: np.ndarray | Sequence[int]) -> str:
    """Return the text of the words before the end.

    Example:
        >>> caption([1, 6, 13, 1, 10, 0, 0])
        'a three above a seven'
    """
    found = [WORDS[word] for word in words]
    return " ".join(found[: found.index("end")] if "end" in found else found)
