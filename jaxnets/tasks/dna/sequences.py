"""DNA sequences of a file, as arrays."""

from pathlib import Path

import numpy as np

from jaxnets.data import Labelled, Splits
from jaxnets.data.splits import split_in_tenths


BASES = "ACGT"
# The letters of IUPAC, which stand for one of several bases.
TWO = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}
THREE = {"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}
LETTERS = {base: base for base in BASES} | TWO | THREE | {"N": BASES}
MOST_BYTES, MOST_CLASSES, MOST_LETTERS = 100_000_000, 20, 10_000


def read_sequences(path: Path) -> tuple[list[str], Splits]:
    """Return the names of the classes of a file, and its sequences, split in tenths.

    The arguments and the errors are those of `labelled_sequences`.
    """
    names, found = labelled_sequences(path)
    x, y = np.asarray(found.x), np.asarray(found.y)
    return names, split_in_tenths(x, y, str(path))


def labelled_sequences(path: Path) -> tuple[list[str], Labelled]:
    """Return the names of the classes and the sequences of a file, without repetitions.

    A sequence that occurs several times counts once, with its first class: otherwise
    some of those for validation would be known from training.

    Args:
        path: A file with a line `class, name, sequence` for each sequence.

    Raises:
        ValueError: If the file is too large, or a line is not `class, name, sequence`.
        OSError: If it cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; wanted a file of sequences.")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(
            f"{path} has more than {MOST_BYTES} bytes; wanted a smaller file."
        )
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in ASCII: {error}.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            name, sequence = _parsed(line, f"{path}, line {number}")
            length = len(next(iter(found), sequence))
            if len(sequence) != length:
                raise ValueError(
                    f"{path}, line {number}: the sequence has {len(sequence)} letters, "
                    f"and those before have {length}. Is the file cut off?"
                )
            found.setdefault(sequence, name)
    names = sorted(set(found.values()))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise ValueError(
            f"{path} has {len(names)} classes; wanted 2 to {MOST_CLASSES}, in lines "
            "`class, name, sequence`."
        )
    letters = np.zeros((128, len(BASES)), np.float32)
    for letter, bases in LETTERS.items():
        letters[ord(letter), [BASES.index(base) for base in bases]] = 1 / len(bases)
    codes = np.frombuffer("".join(found).encode(), np.uint8).reshape(len(found), -1)
    y = np.array([names.index(name) for name in found.values()], np.int32)
    return names, Labelled(letters[codes], y)


def _parsed(line: str, where: str) -> tuple[str, str]:
    """Return the class and the sequence of a line."""
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 3 or not all(fields):
        raise ValueError(
            f"{where} is {line[:40]!r}; wanted `class, name, sequence`, as in UCI's "
            "splice.data."
        )
    name, _, sequence = fields
    if unknown := sorted(set(sequence.upper()) - set(LETTERS)):
        raise ValueError(
            f"{where}: the sequence has {unknown[0]!r}; wanted the letters "
            f"{''.join(LETTERS)}."
        )
    if len(sequence) > MOST_LETTERS:
        raise ValueError(
            f"{where}: the sequence has {len(sequence)} letters; wanted at most "
            f"{MOST_LETTERS}."
        )
    return name, sequence.upper()
