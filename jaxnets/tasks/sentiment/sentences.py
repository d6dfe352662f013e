"""Sentences as numbers: the user's file, and the vocabulary of the training split."""

import collections
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnets.typing import ArrayLike


WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+|[!?]")
# The codes of padding, and of a word that is not in the vocabulary.
PADDING, UNKNOWN = 0, 1
# Words of a sentence after which the rest is left out.
MOST_WORDS = 60
MOST_BYTES = 50_000_000
LARGEST_RATING = 4


class Sentences(NamedTuple):
    """Sentences with their sentiment.

    Attributes:
        words: Codes of the words, `(B, T)`, with `PADDING` after the last.
        lengths: Number of words of each, `(B,)`.
        y: 1 for praise and 0 for blame, `(B,)`.
    """

    words: ArrayLike
    lengths: ArrayLike
    y: ArrayLike


def read_sentences(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the sentences of a file, and which of them praise (1) or not (0).

    A line has a name, a rating from -4 to 4 and a sentence, with tabs between them, as
    in `movieReviewSnippets_GroundTruth.txt` of vaderSentiment. A rating above 0 is
    praise. Sentences that are rated 0, and repetitions, are left out.

    Raises:
        ValueError: If the file is too large, or a line is not of that form.
        OSError: If it cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; wanted a file of rated sentences.")
    with path.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path} has more than {MOST_BYTES} bytes.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: {error}.") from error
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            rating, sentence = _parsed(line, f"{path}, line {number}")
            if rating:
                found.setdefault(sentence, int(rating > 0))
    return list(found), np.array(list(found.values()), np.int32)


def _parsed(line: str, where: str) -> tuple[float, str]:
    """Return the rating and the sentence of a line."""
    fields = [field.strip() for field in line.split("\t")]
    try:
        _, text, sentence = fields
        rating = float(text)
    except ValueError:
        rating, sentence = math.nan, ""
    if not abs(rating) <= LARGEST_RATING or not words_of(sentence):
        raise ValueError(
            f"{where} is {line[:40]!r}; wanted a name, a rating from "
            f"-{LARGEST_RATING} to {LARGEST_RATING} and an English sentence, with tabs "
            "between them. Is the file cut off?"
        )
    return rating, sentence


def words_of(sentence: str) -> list[str]:
    """Return the words of a sentence in lower case.

    Example:
        >>> words_of("It's NOT 2 bad!")
        ["it's", 'not', '2', 'bad', '!']
    """
    return WORD.findall(sentence.lower())


def vocabulary_of(sentences: Iterable[str], least: int) -> list[str]:
    """Return the words that occur at least `least` times, in the order of the code."""
    counts = collections.Counter(
        word for sentence in sentences for word in words_of(sentence)
    )
    return sorted(word for word, count in counts.items() if count >= least)


def coded(
    sentences: Sequence[str], labels: np.ndarray, vocabulary: Sequence[str]
) -> Sentences:
    """Return sentences as codes: those of the vocabulary begin after `UNKNOWN`."""
    codes = {word: code for code, word in enumerate(vocabulary, UNKNOWN + 1)}
    rows = [
        [codes.get(word, UNKNOWN) for word in words_of(sentence)[:MOST_WORDS]]
        for sentence in sentences
    ]
    lengths = np.array([len(row) for row in rows], np.int32)
    words = np.full((len(rows), lengths.max(initial=1)), PADDING, np.int32)
    for row, code in zip(words, rows, strict=True):
        row[: len(code)] = code
    return Sentences(words, lengths, labels)
