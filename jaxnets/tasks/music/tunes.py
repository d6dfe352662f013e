"""Tunes as one long text, and windows of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


# A tune ends with an empty line.
END = "\n\n"


class Tunes(NamedTuple):
    """Tunes one after the other, each after an empty line.

    Attributes:
        codes: The characters of all, after those of one empty line, `(N + 1,)`.
        begins: Whether a tune begins after a character, `(N,)`.
    """

    codes: np.ndarray
    begins: np.ndarray


class TuneBatch(NamedTuple):
    """Characters `x (B, T)`, those that follow, and where the memory is cleared."""

    x: np.ndarray
    y: np.ndarray
    resets: np.ndarray


def joined(texts: Sequence[str], alphabet: Sequence[str]) -> Tunes:
    r"""Return tunes as one text.

    Example:
        >>> found = joined(["ab", "b"], ["\n", "a", "b"])
        >>> found.codes.tolist(), found.begins.astype(int).tolist()
        ([0, 1, 2, 0, 0, 2, 0, 0], [1, 0, 0, 0, 1, 0, 0])
    """
    codes = {character: code for code, character in enumerate(alphabet)}
    whole = "\n" + "".join(text + END for text in texts)
    lengths = [len(text + END) for text in texts]
    begins = np.zeros(len(whole) - 1, bool)
    begins[np.cumsum([0, *lengths])[:-1]] = True
    return Tunes(np.array([codes[c] for c in whole], np.int32), begins)


def windows(tunes: Tunes, starts: np.ndarray, length: int) -> TuneBatch:
    """Return the characters after each start, and for each the one that follows it."""
    places = np.asarray(starts)[:, None] + np.arange(length)
    codes = tunes.codes
    return TuneBatch(codes[places], codes[places + 1], tunes.begins[places])
