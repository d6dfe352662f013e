"""The files of Multi30k: a sentence on each line, a file for each language."""

import gzip
import zlib
from pathlib import Path

from jaxnets.data.files import damaged_file
from jaxnets.tasks.translation.sentences import Corpus, Pair
from jaxnets.tasks.translation.vocabulary import MISSING, Subwords


SOURCE, TARGET = "de", "en"
MOST_BYTES, MOST_LETTERS = 200_000_000, 2000
# Longest sentence in training, in subwords.
MOST = 26


def read_corpus(folder: Path) -> Corpus:
    """Return the sentences of a folder, in subwords.

    Raises:
        ValueError: As `read_pairs`.
        OSError: As `read_pairs`.
        ImportError: If SentencePiece or sacreBLEU is missing.
    """
    try:
        import sacrebleu  # noqa: F401
    except ImportError as error:
        raise ImportError(MISSING) from error
    train, validation, test = read_pairs(folder)
    sides = zip(*train, strict=True)
    source, target = (Subwords.of_texts(side) for side in sides)
    return Corpus((source, target), train, validation, test, MOST)


def read_pairs(folder: Path) -> list[list[Pair]]:
    """Return German sentences with English translations, in lower case.

    Args:
        folder: Holds `train.de`, `train.en`, `val.de`, `val.en`, and files of the same
            endings whose names begin with `test`, all of them plain or with `.gz`. Of
            several tests the first by name is taken that is in both languages.

    Returns:
        The pairs for training, validation and test.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is cut off, has other lines than its partner, or is no
            text of sentences.
        OSError: If it cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no folder; wanted one with the files train, val and test of "
            f"Multi30k, each with the endings .{SOURCE} and .{TARGET}."
        )
    return [_pairs(*_find(folder, name)) for name in ("train", "val", "test*")]


def _find(folder: Path, name: str) -> list[Path]:
    """Return the files of a split, one for each language and of the same name."""
    found: list[dict[str, Path]] = []
    for language in (SOURCE, TARGET):
        # Of a plain and a compressed file of one name the plain one is taken.
        endings = f"{name}.{language}", f"{name}.{language}.gz"
        paths = [path for ending in endings[::-1] for path in folder.glob(ending)]
        if not paths:
            raise FileNotFoundError(
                f"{folder} has no {endings[0]} or {endings[1]}; wanted the sentences "
                "of Multi30k, a file for each split and language."
            )
        found.append({_stem(path, language): path for path in paths})
    both = sorted(found[0].keys() & found[1].keys())
    if not both:
        raise FileNotFoundError(
            f"{folder} has no two files {name} of one name, with the endings "
            f".{SOURCE} and .{TARGET}; wanted the same sentences in both languages."
        )
    return [paths[both[0]] for paths in found]


def _stem(path: Path, language: str) -> str:
    return path.name.removesuffix(".gz").removesuffix(f".{language}")


def _pairs(source: Path, target: Path) -> list[Pair]:
    """Return the sentences of two files, which belong together line by line."""
    one, other = _lines(source), _lines(target)
    if len(one) != len(other):
        raise ValueError(
            f"{source} has {len(one)} lines, and {target} has {len(other)}; wanted "
            "equal numbers. Is one of them cut off?"
        )
    return list(zip(one, other, strict=True))


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, after checking that they may be sentences."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged_file(path, f"not a complete gzip file ({error})") from error
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} has more than {MOST_BYTES} bytes of text.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: {error}.") from error
    if not text.endswith("\n"):
        raise damaged_file(path, "the last line has no end")
    lines = [line.strip().lower() for line in text[:-1].split("\n")]
    for number, line in enumerate(lines, 1):
        # Of a line without a visible character no token is left.
        seen = sum(letter.isprintable() and letter != " " for letter in line)
        if not seen or len(line) > MOST_LETTERS:
            raise ValueError(
                f"{path}, line {number} has {len(line)} characters, {seen} of them "
                f"visible; wanted a sentence of 1 to {MOST_LETTERS}."
            )
    return lines
