"""A text in UTF-8 that may be larger than the memory: it stays in its file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np


# Bytes that are decoded at once, and the most that a character has.
BLOCK, LONGEST = 2**22, 4
CODE_POINTS = 0x110000


class Text:
    """The bytes of a text, of which single stretches are decoded.

    Args:
        data: The bytes, a memory-mapped array for example.

    Raises:
        ValueError: If they are not UTF-8.

    Example:
        >>> text = Text(np.frombuffer("naïve".encode(), np.uint8))
        >>> text.alphabet
        'aenvï'
        >>> text.windows(np.array([2, 3]), 3)  # Byte 3 is within a character.
        array([[4, 3, 1],
               [4, 3, 1]], dtype=int32)
    """

    def __init__(self, data: np.ndarray):
        self._data = data
        seen = np.flatnonzero(self.counts(0, len(data)))
        self.alphabet = "".join(map(chr, seen))
        self._codes = np.zeros(CODE_POINTS, np.int32)
        self._codes[seen] = np.arange(len(seen))
        self._seen = seen

    @classmethod
    def of_file(cls, path: Path) -> "Text":
        """Return the text of a file, which is not read as a whole.

        Raises:
            ValueError: If the file is not UTF-8, empty or a folder.
            OSError: If it cannot be read.
        """
        if path.is_dir():
            raise ValueError(f"{path} is a folder; wanted a text file.")
        if path.exists() and not path.stat().st_size:
            raise ValueError(f"{path} is empty; wanted a text.")
        try:
            return cls(np.memmap(path, np.uint8, "r"))
        except ValueError as error:
            raise ValueError(f"{path} is not a text in UTF-8: {error}") from error

    def __len__(self) -> int:
        """The number of bytes."""
        return len(self._data)

    def start_of(self, byte: int) -> int:
        """Return where the character begins that has a byte."""
        while byte > 0 and byte < len(self) and self._data[byte] & 0xC0 == 0x80:
            byte -= 1
        return byte

    def last_start(self, begin: int, end: int, length: int) -> int:
        """Return the last byte before `end` with `length` characters up to `end`.

        It is below `begin` if there are fewer characters.
        """
        first = max(begin, end - LONGEST * length)
        starts = np.flatnonzero(self._data[first:end] & 0xC0 != 0x80)
        return first + int(starts[-length]) if len(starts) >= length else begin - 1

    def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Return the codes of `length` characters from each start: (starts, length)."""
        rows = []
        for start in map(self.start_of, starts.tolist()):
            # The last character may be cut off.
            raw = self._data[start : start + LONGEST * length].tobytes()
            points = _code_points(raw.decode("utf-8", "ignore")[:length])
            rows.append(self._codes[points])
        return np.stack(rows)

    def counts(self, begin: int, end: int) -> np.ndarray:
        """Return how often each code point occurs between two characters' starts."""
        total = np.zeros(CODE_POINTS, np.int64)
        for text in self._decoded(begin, end):
            points = _code_points(text)
            found = np.bincount(points)
            total[: len(found)] += found
        return total

    def codes(self, begin: int, end: int) -> np.ndarray:
        """Return the codes of all characters between two characters' starts."""
        parts = [self._codes[_code_points(text)] for text in self._decoded(begin, end)]
        return np.concatenate(parts)

    def frequencies(self, begin: int, end: int) -> np.ndarray:
        """Return how often each character of the alphabet occurs, by its code."""
        return self.counts(begin, end)[self._seen]

    def _decoded(self, begin: int, end: int) -> Iterator[str]:
        while begin < end:
            stop = end
            if end - begin > BLOCK:
                stop = self.start_of(begin + BLOCK)
            try:
                yield self._data[begin:stop].tobytes().decode("utf-8")
            except UnicodeDecodeError as error:
                place = begin + error.start
                raise ValueError(
                    f"byte {place} is 0x{self._data[place]:02x}; wanted UTF-8. Convert "
                    "the text, or remove what is not text."
                ) from error
            begin = stop


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
