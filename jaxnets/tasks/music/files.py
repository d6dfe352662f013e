"""Tunes of the user's: files in ABC notation."""

import re
from pathlib import Path


MOST_BYTES, MOST_FILES = 100_000_000, 10_000


def read_tunes(path: Path) -> list[str]:
    """Return the tunes of a file in ABC notation, or of all such files of a folder.

    A tune begins with a line `X:` and has a line `K:`. Empty lines are left out, so
    that one can be the end of a tune.

    Raises:
        ValueError: If there is no such file, or a file is not of that form, not UTF-8,
            or too large.
        OSError: If one cannot be read.
    """
    files = sorted(path.glob("*.abc")) if path.is_dir() else [path]
    if not 1 <= len(files) <= MOST_FILES:
        raise ValueError(
            f"{path} is a folder with {len(files)} files `*.abc`; wanted 1 to "
            f"{MOST_FILES}."
        )
    tunes, size = [], 0
    for file in files:
        if file.exists() and not file.is_file():
            raise ValueError(f"{file} is no file; wanted a text in ABC notation.")
        size += file.stat().st_size
        if size > MOST_BYTES:
            raise ValueError(
                f"{path} has more than {MOST_BYTES} bytes of tunes; wanted fewer."
            )
        tunes += _tunes(file)
    return tunes


def _tunes(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not a text in UTF-8: {error}.") from error
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    before, *parts = re.split(r"^(?=X:)", "\n".join(lines), flags=re.MULTILINE)
    foreign = [line for line in before.splitlines() if not line.startswith("%")]
    if foreign or not parts:
        found = f"begins with {foreign[0][:40]!r}" if foreign else "has no tune"
        raise ValueError(
            f"{file} {found}; wanted tunes in ABC notation, which begin with `X:`."
        )
    for number, part in enumerate(parts, 1):
        if not re.search(r"^K:", part, flags=re.MULTILINE):
            raise ValueError(
                f"{file}: tune {number} has no line `K:` with its key. Is the file cut "
                "off?"
            )
    return [part.rstrip() for part in parts]
