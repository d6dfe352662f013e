"""Data files: where they are kept, how they are fetched, and what is refused."""

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path
from typing import NamedTuple


TIMEOUT_SECONDS = 60.0


class RemoteFile(NamedTuple):
    """A published file, known by its content.

    Attributes:
        name: File name to keep it under.
        url: Where it can be had.
        sha256: Hexadecimal digest of its bytes.
    """

    name: str
    url: str
    sha256: str


def data_folder(folder: str | os.PathLike[str] | None, name: str) -> Path:
    """Return `folder`, or where the data set `name` is kept when `folder` is None.

    That is the subfolder `name` of the first of: the environment variable
    `JAXNETS_DATA`, `$XDG_CACHE_HOME/jaxnets`, `~/.cache/jaxnets`.
    """
    if folder is not None:
        return Path(folder).expanduser()
    if chosen := os.environ.get("JAXNETS_DATA"):
        return Path(chosen).expanduser() / name
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore a relative path.
    if not cache.is_absolute():
        cache = Path.home() / ".cache"
    return cache / "jaxnets" / name


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Download `file` into `folder`, whole and verified or not at all.

    The bytes go to a temporary name beside the final one, which they get only after
    their sha256 was right. So a file that is there was complete, also when the download
    was interrupted or when several processes fetch it at once.

    Args:
        file: What to download.
        folder: Where to put it; made when it is missing.

    Returns:
        Path of the file.

    Raises:
        OSError: If the address does not answer, or the folder cannot be written.
        ValueError: If other bytes came than those of the published file.
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
                f"wanted {file.sha256}. The download was cut off or the file there is "
                f"another one, so it was thrown away. Try again, or put the right file "
                f"at {path}."
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
    """Return the error that says which files of `data_set` are not in `folder`."""
    return FileNotFoundError(
        f"{data_set}: {folder} has no {', '.join(names)}. Pass the `folder` that holds "
        "the official files, or `download=True` to fetch them."
    )


def damaged_file(path: Path, fault: str) -> ValueError:
    """Return the error that says what is wrong with the data file `path`."""
    return ValueError(
        f"{path}: {fault}. The file is damaged, incomplete or another one, and was not "
        "used. Delete it, and get it again by hand or with `download=True`."
    )
