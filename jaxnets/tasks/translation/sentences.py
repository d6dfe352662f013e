"""Sentences as arrays, and a corpus of pairs of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxnets.tasks.decoder import END
from jaxnets.tasks.translation.vocabulary import Vocabulary


# A sentence and its translation.
Pair = tuple[str, str]


class Sentences(NamedTuple):
    """A batch of sentences and their translations.

    Attributes:
        source: Tokens, `(B, S)`.
        source_lengths: Number of tokens of each, `(B,)`.
        targets: Tokens of the translations, `(B, N)`, `END` after each.
        target_lengths: Number of tokens of each with its `END`, `(B,)`.
    """

    source: np.ndarray
    source_lengths: np.ndarray
    targets: np.ndarray
    target_lengths: np.ndarray


class Corpus(NamedTuple):
    """Pairs of sentences, and how they become tokens.

    Attributes:
        vocabularies: Those of source and target.
        train: Pairs for training.
        validation: Pairs for validation.
        test: Pairs for the end.
        most: Largest number of tokens of a sentence in training; longer pairs are left
            out.
    """

    vocabularies: tuple[Vocabulary, Vocabulary]
    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    most: int

    def encoded(self, pairs: Sequence[Pair], most: int | None = None) -> Sentences:
        """Return pairs as arrays, without those of more than `most` tokens."""
        source, target = self.vocabularies
        rows = [(source.encode(one), target.encode(other)) for one, other in pairs]
        if most is not None:
            rows = [row for row in rows if max(map(len, row)) < most]
        ended = [[*tokens, END] for _, tokens in rows]
        return Sentences(*padded([tokens for tokens, _ in rows]), *padded(ended))


def padded(
    rows: Sequence[Sequence[int]], width: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens as an array with `END` after each row, and the lengths.

    Args:
        rows: The tokens of each sentence.
        width: Number of columns; None is the length of the longest row.

    Example:
        >>> padded([[3], [5, 4]])
        (array([[3, 0],
               [5, 4]], dtype=int32), array([1, 2], dtype=int32))
    """
    lengths = np.array([len(row) for row in rows], np.int32)
    width = int(lengths.max(initial=0)) if width is None else width
    tokens = np.full((len(rows), width), END, np.int32)
    for row, values in zip(tokens, rows, strict=True):
        row[: len(values)] = values
    return tokens, lengths
