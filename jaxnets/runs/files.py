"""Atomic writes and checked reads: nobody ever sees a half-written file.

Everything that the library writes for a user goes through `write_bytes`.
"""

import contextlib
import json
import math
import os
import re
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any


# Control characters but tab and the ends of lines, which can steer a terminal, and
# halves of surrogate pairs, by which Python stands for the bytes of a path that are
# not UTF-8. UTF-8 has no code for those.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

# What to do about a damaged file of a run that is to be drawn.
TO_DRAW = "Move it away to draw the run without it."
# The files of a run have five levels.
MOST_NESTED = 16
LARGEST = 2**63 - 1
# Folders of devices and of the pipes that a shell opens.
DEVICES = ("/dev", "/dev/fd", "/proc/self/fd")


def printable(text: str) -> str:
    r"""Return `text` with what cannot be printed as escapes, such as `\x1b`.

    Example:
        >>> printable("\x1b[2J") == r"\x1b[2J"
        True
    """
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def as_path(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Return the argument called `name` as a path.

    Raises:
        TypeError: If it is not a path.
        ValueError: If it is empty, which would be the current folder.
    """
    try:
        found = os.fspath(path)
    except TypeError:
        found = None
    if not isinstance(found, str):
        raise TypeError(
            f"`{name}` is {path!r}; wanted a path, such as Path('runs/first')."
        )
    if not found:
        raise ValueError(
            f"`{name}` is empty; wanted a path, such as 'runs/first', or '.' for the "
            "current folder."
        )
    return Path(found)


def check_writable(folder: Path, name: str) -> None:
    """Check that files can be written into a folder, which need not exist.

    Args:
        folder: The folder.
        name: The name of the caller's argument.

    Raises:
        ValueError: If they cannot.

    Example:
        >>> check_writable(Path("/dev/null/run"), "path")
        Traceback (most recent call last):
            ...
        ValueError: `path` is /dev/null/run, which cannot be written (Not a ...
    """
    path = folder.absolute()
    try:
        there = next(path for path in (path, *path.parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(
            f"`{name}` is {folder}, which cannot be written ({error.strerror}); wanted "
            "a folder that can be."
        ) from error


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8, whole or not at all, like `write_bytes`.

    What UTF-8 has no code for, such as the bytes of a path that are not UTF-8, is
    written as an escape, such as `\udce9`.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    r"""Write `data` to the file `path`, whole or not at all.

    The data go to a new file in the same folder, which then takes the place of `path`.
    If the disk is full or the process is killed, an old file stays as it was.
    A link is replaced and not followed. What lies in `/dev` itself, such as
    `/dev/stdout`, is a device or a pipe: it is written to and not replaced.

    Raises:
        FileExistsError: If there is something at `path` that is not a file.
        OSError: If the file cannot be written; the error names `path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.txt")
        ...     write_bytes(path, b"old")
        ...     write_bytes(path, b"new")
        ...     path.read_text(), len(list(path.parent.iterdir()))
        ('new', 1)
    """
    kind = _kind(path)
    device = str(path.parent) in DEVICES
    if kind not in (None, "file", "link") and not device:
        raise FileExistsError(
            f"{path} is a {kind} and not a file, so it is not replaced. Choose another "
            "name, or move it away."
        )
    # What a killed process leaves has a name that is not taken for a result.
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        if device:
            path.write_bytes(data)
            return
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            # Otherwise the new name can reach the disk before the data.
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def read_text(path: Path) -> str | None:
    """Return the text of a file, or None if nothing is there.

    A mark at the start that some editors write to say that a file is UTF-8 is left out.

    Raises:
        ValueError: If what is there is not a file, or not UTF-8.
        OSError: If the file may not be read.
    """
    kind = _kind(path)
    if kind is None:
        return None
    if kind == "link":
        raise ValueError(
            f"{path} is a link; wanted a file, because links in a run are not "
            "followed. Put a copy of what it points to in its place."
        )
    if kind != "file":
        raise ValueError(f"{path} is a {kind}; wanted a file. Move it away.")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text: byte {error.start} is "
            f"0x{error.object[error.start]:02x}. Save it as UTF-8, or move it away."
        ) from error


def json_text(value: Any) -> str:
    """Return `value` as JSON, with null for infinities and NaN, which JSON lacks.

    Example:
        >>> json_text([1.5, math.nan]).split()
        ['[', '1.5,', 'null', ']']
    """
    return json.dumps(_without_nonfinite(value), indent=2, allow_nan=False)


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(item) for item in value]
    return value


def read_json(path: Path, remedy: str = "") -> dict[str, Any] | None:
    """Return the object in a JSON file, or None if nothing is there.

    All texts in it are made printable.

    Args:
        path: The file.
        remedy: What to do if it is not JSON, as a sentence for the error.

    Raises:
        ValueError: If it is not JSON, not an object, or nested too deeply.
        OSError: If the file may not be read.
    """
    text = read_text(path)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not JSON ({error}). The file may have been cut off. "
            f"{remedy}".rstrip()
        ) from error
    if not isinstance(found, dict):
        kind = "null" if found is None else type(found).__name__
        raise ValueError(
            f"{path} holds a {kind}; wanted an object with names. Is it the file of a "
            "jaxnets run?"
        )
    try:
        return _plain(found, "", MOST_NESTED)
    except ValueError as error:
        raise ValueError(f"{path}: {error} Is it the file of a jaxnets run?") from error


def _plain(value: Any, where: str, levels: int) -> Any:
    """Return a value of JSON with printable texts, if the rest of the code can take it.

    Args:
        value: The value.
        where: Where it stands, such as `arms[3].size`, for the error.
        levels: How many levels of lists and objects it may have.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"`{where}` is a whole number beyond 2^63 - 1.")
    if isinstance(value, dict | list) and levels == 0:
        raise ValueError(f"`{where}` is nested deeper than {MOST_NESTED} levels.")
    if isinstance(value, list):
        entries = enumerate(value)
        return [_plain(entry, f"{where}[{n}]", levels - 1) for n, entry in entries]
    if isinstance(value, dict):
        prefix = f"{where}." if where else ""
        named = ((printable(name), entry) for name, entry in value.items())
        return {n: _plain(entry, f"{prefix}{n}", levels - 1) for n, entry in named}
    return value


def _kind(path: Path) -> str | None:
    """Return what is at `path`; None if nothing is."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    tests = {"file": stat.S_ISREG, "folder": stat.S_ISDIR, "link": stat.S_ISLNK}
    return next((kind for kind, test in tests.items() if test(mode)), "device or pipe")
