"""Manifests: the SHA-256 of every file of a folder, written last and checked first."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxnets.runs.files import read_json, write_text


MANIFEST = "manifest.json"
BLOCK = 2**20


class DamagedError(Exception):
    """The files of a folder are not those of its manifest; the text says which."""


def write_manifest(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the manifest of a folder, which from then on counts as complete.

    Args:
        folder: The folder, whose files do not change any more.
        about: What the folder holds; `read_manifest` returns it.
    """
    files = {name: _digest(folder / name) for name in _names(folder)}
    text = json.dumps({**about, "files": files}, indent=1)
    write_text(folder / MANIFEST, text + "\n")


def read_manifest(folder: Path, *, check: bool = True) -> dict[str, Any]:
    """Return what `write_manifest` wrote, after checking every file.

    Args:
        folder: The folder.
        check: Whether to check the files; another process may have done so.

    Raises:
        DamagedError: If the manifest is missing or cannot be read, or a file is
            missing, was added or has other contents.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as path:
        ...     _ = Path(path, "a").write_text("one")
        ...     write_manifest(Path(path), {"step": 3})
        ...     print(read_manifest(Path(path))["step"])
        ...     _ = Path(path, "a").write_text("two")
        ...     try:
        ...         read_manifest(Path(path))
        ...     except DamagedError as error:
        ...         print(error)
        3
        a does not have the SHA-256 of its manifest
    """
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise DamagedError(f"{MANIFEST} cannot be read: {error}") from error
    if manifest is None:
        raise DamagedError(f"{MANIFEST} is missing, so it was not written to its end")
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise DamagedError(f"{MANIFEST} names no files")
    if not check:
        return manifest
    found = set(_names(folder))
    if missing := sorted(set(files) - found):
        raise DamagedError(f"{missing[0]} is missing")
    if added := sorted(found - set(files)):
        raise DamagedError(f"{added[0]} is not in its manifest")
    for name, digest in files.items():
        if _digest(folder / name) != digest:
            raise DamagedError(f"{name} does not have the SHA-256 of its manifest")
    return manifest


def _names(folder: Path) -> list[str]:
    """Return the paths of all files in the folder but the manifest, sorted."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST and path.suffix != ".partial"
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
