"""Drawings of the user's: a NumPy archive of points and offsets."""

import tokenize
import zipfile
from pathlib import Path

import numpy as np

from jaxnets.data.files import UNREADABLE
from jaxnets.tasks.sketch.drawings import Drawings, DrawingSplits


# What a file may hold at most: bytes that are unpacked, and points of a drawing.
MOST_BYTES, MOST_POINTS = 300_000_000, 1000
PARTS = ("train", "valid", "test")
# What `numpy.load` raises besides, for the header of a damaged array.
BAD_HEADER = (tokenize.TokenError, SyntaxError, MemoryError)
WANTED = (
    "an archive of `numpy.savez` with the arrays `train_points` and `train_offsets`, "
    "and the same for `valid` and `test`"
)


def read_drawings(path: Path) -> DrawingSplits:
    """Return the drawings of an archive of NumPy.

    Args:
        path: A file with, for each of `train`, `valid` and `test`, the integers
            `*_points (N, 3)`, which are `(dx, dy, pen)`, and `*_offsets`, which are
            where each drawing begins and the end of the last.

    Raises:
        ValueError: If the file is not of that form, is damaged, or is too large.
        OSError: If it cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; wanted {WANTED}.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise ValueError(
                f"it has {size} bytes when unpacked; wanted at most {MOST_BYTES}"
            )
        with np.load(path, allow_pickle=False) as arrays:
            found = [_part(arrays, part) for part in PARTS]
    except (ValueError, *UNREADABLE, *BAD_HEADER) as error:
        raise ValueError(f"{path} cannot be used: {error}. Wanted {WANTED}.") from error
    return DrawingSplits(*found)


def _part(arrays, part: str) -> Drawings:
    names = f"{part}_points", f"{part}_offsets"
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(f"it has no array `{missing[0]}`")
    points, offsets = (arrays[name] for name in names)
    for name, array in zip(names, (points, offsets), strict=True):
        # Of a member that is no array NumPy returns the bytes.
        if not isinstance(array, np.ndarray):
            raise ValueError(f"`{name}` is no array of NumPy")
        if array.dtype.kind not in "iu":
            raise ValueError(f"`{name}` has dtype {array.dtype}; wanted integers")
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"`{names[0]}` has shape {points.shape}; wanted (N, 3)")
    if not len(points) or points.max() >= 2**15 or points.min() <= -(2**15):
        raise ValueError(
            f"`{names[0]}` is empty, or an offset is beyond those of int16"
        )
    if not np.isin(points[:, 2], (0, 1)).all():
        raise ValueError(f"the pen in `{names[0]}` is not always 0 or 1")
    if offsets.ndim != 1 or len(offsets) < 2:
        wanted = "wanted (drawings + 1,)"
        raise ValueError(f"`{names[1]}` has shape {offsets.shape}; {wanted}")
    offsets = offsets.astype(np.int64)
    lengths = np.diff(offsets)
    if offsets[0] != 0 or offsets[-1] != len(points) or lengths.min() < 2:
        raise ValueError(
            f"`{names[1]}` does not rise from 0 to the {len(points)} points by at "
            "least 2 points for each drawing"
        )
    if lengths.max() > MOST_POINTS:
        raise ValueError(
            f"a drawing in `{names[0]}` has {lengths.max()} points; wanted at most "
            f"{MOST_POINTS}"
        )
    return Drawings(points.astype(np.int16), offsets)
