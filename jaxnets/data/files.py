"""Data files: the folders they are in, how they are downloaded, and their errors."""

import hashlib
import http.client
import lzma
import os
import shutil
import tempfile
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple


TIMEOUT_SECONDS = 60.0
# What `zipfile` raises for what is no archive, is damaged or needs a password.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
)


class RemoteFile(NamedTuple):
    """A published file and the digest of its content.

    Attributes:
        name: The name of the local file.
        url: The address to download it from.
        sha256: Hexadecimal digest of its bytes.
    """

    name: str
    url: str
    sha256: str


def data_folder(folder: str | os.PathLike[str] | None, name: str) -> Path:
    """Return `folder`, or the default folder of the data set `name` if it is None.

    The default is the subfolder `name` of the folder that the environment variable
    `JAXNETS_DATA` names; if it is not set, of `$XDG_CACHE_HOME/jaxnets`, or of
    `~/.cache/jaxnets`.
    """
    if folder is not None:
        return Path(folder).expanduser()
    if parent := os.environ.get("JAXNETS_DATA"):
        return Path(parent).expanduser() / name
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore a relative path.
    if not cache.is_absolute():
        cache = Path.home() / ".cache"
    return cache / "jaxnets" / name


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Download `file` into `folder`.

    The bytes go to a temporary file in `folder`, which gets its final name only if
    their sha256 is right. So a file with that name is complete, even if a download was
    interrupted or several processes download it at once.

    Args:
        file: The file to download.
        folder: The folder to put it in. It is created if it does not exist.

    Returns:
        The path of the file.

    Raises:
        OSError: If the download fails, or the folder cannot be written.
        ValueError: If the bytes are not those of the published file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name
    with tempfile.TemporaryDirectory(prefix=f"{file.name}.", dir=folder) as temporary:
        partial = Path(temporary) / "partial"
        _download(file, partial, path)
        with partial.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != file.sha256:
            raise ValueError(
                f"{file.url} sent {partial.stat().st_size} bytes with sha256 {digest}; "
                f"wanted {file.sha256}. The bytes were deleted: the download was cut "
                f"off, or the file at that address has changed. Try again, or put the "
                f"right file at {path}."
            )
        partial.replace(path)
    return path


def _download(file: RemoteFile, partial: Path, path: Path) -> None:
    """Stream the bytes of `file` into `partial`."""
    try:
        with (
            urllib.request.urlopen(file.url, timeout=TIMEOUT_SECONDS) as response,
            partial.open("wb") as stream,
        ):
            shutil.copyfileobj(response, stream)
    except (OSError, http.client.HTTPException) as error:
        raise OSError(
            f"{file.url} could not be downloaded ({error}). Check the connection, or "
            f"put the file at {path}."
        ) from error


def missing_files(data_set: str, folder: Path, names: list[str]) -> FileNotFoundError:
    """Return the error for files of `data_set` that are not in `folder`."""
    function = data_set.lower().replace("-", "")
    return FileNotFoundError(
        f"{data_set}: {folder} has no {', '.join(names)}. Put the official files "
        f"there, or run `jaxnets.data.{function}({str(folder)!r}, download=True)` in "
        "Python. JAXNETS_DATA may name another folder, with theirs in it."
    )


def damaged_file(path: Path, fault: str) -> ValueError:
    """Return the error for the data file `path`, which `fault` describes."""
    return ValueError(
        f"{path}: {fault}. The file is damaged, incomplete or a different one, and was "
        "not used. Delete it, and download it again by hand or, in Python, with "
        "`download=True`."
    )
