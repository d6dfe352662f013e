"""CIFAR-10 from its official binary version."""

import gzip
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np

from jaxnets.data.files import (
    RemoteFile,
    damaged_file,
    data_folder,
    fetch,
    missing_files,
)
from jaxnets.data.splits import Labelled, Splits, set_aside, unit_interval


ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
SUBFOLDER = "cifar-10-batches-bin"
TRAIN = [f"data_batch_{number}.bin" for number in range(1, 6)]
TEST = "test_batch.bin"
# One byte of label, then the red, green and blue planes of 32x32 bytes.
RECORD_BYTES = 1 + 3 * 32 * 32


def cifar10(
    folder: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    seed: int = 0,
) -> Splits:
    """Read CIFAR-10: 60,000 colour photographs of 32x32 pixels in ten classes.

    The test part is the official one (10,000). Train and validation are 90 and 10 per
    cent of the official training set (45,000 and 5,000, as in He et al. 2015, section
    4.2), stratified by class, chosen by `seed` alone. The classes are, in order:
    airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.

    Every file is checked before use: length, labels 0 to 9, and the archive's own
    checksum; what is downloaded also for its sha256.

    Args:
        folder: Holds `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, or
            `cifar-10-batches-bin` with them inside, or `cifar-10-binary.tar.gz`, which
            is read without unpacking. None means `cifar10` below the environment
            variable `JAXNETS_DATA`, or else below `~/.cache/jaxnets` (or
            `$XDG_CACHE_HOME/jaxnets`).
        download: Whether to fetch the archive, 170 MB, when `folder` has none of these.
            A file that is there is never replaced.
        seed: Chooses another validation part.

    Returns:
        `Splits` of `Labelled(x, y)`, NumPy arrays: `x` (N, 32, 32, 3) float32 in
        [0, 1], channels red, green, blue; `y` (N,) int32, 0 to 9.

    Raises:
        FileNotFoundError: If files are missing and `download` is false.
        ValueError: If a file is damaged or not what its name says.
        OSError: If a download fails.

    Example:
        >>> from jaxnets.data import cifar10
        >>> train, validation, test = cifar10(download=True)  # doctest: +SKIP

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
    Keras and torchvision read the pickled version of the same pixels; this one needs
    no unpickling, which could run code.
    """
    contents = _read_files(data_folder(folder, "cifar10"), download)
    parts = {path.name: _decode(path, content) for path, content in contents.items()}
    x = np.concatenate([parts[name].x for name in TRAIN])
    y = np.concatenate([parts[name].y for name in TRAIN])
    # Set aside as bytes: a quarter of the memory that float32 takes.
    train, validation = set_aside(x, y, 0.1, seed)
    test = parts[TEST]
    return Splits(unit_interval(train), unit_interval(validation), unit_interval(test))


def _read_files(place: Path, download: bool) -> dict[Path, bytes]:
    """Return the bytes of the six files, from wherever below `place` they are."""
    names = [*TRAIN, TEST]
    for folder in (place, place / SUBFOLDER):
        lacking = [name for name in names if not (folder / name).is_file()]
        if not lacking:
            return {folder / name: (folder / name).read_bytes() for name in names}
        if len(lacking) < len(names):
            raise missing_files("CIFAR-10", folder, lacking)
    archive = place / ARCHIVE.name
    if not archive.is_file():
        if not download:
            raise missing_files("CIFAR-10", place, [*names, f"and no {archive.name}"])
        fetch(ARCHIVE, place)
    return _read_archive(archive, names)


def _read_archive(archive: Path, names: list[str]) -> dict[Path, bytes]:
    """Return the bytes of the files `names` inside `archive`."""
    contents = {}
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped) as tar:
            for member in tar:
                name = Path(member.name).name
                stream = tar.extractfile(member) if name in names else None
                if stream is not None:
                    contents[archive / name] = stream.read()
            # The checksum stands at the very end, behind what tarfile reads.
            unzipped.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise damaged_file(archive, f"not a whole archive ({error})") from error
    if lacking := [name for name in names if archive / name not in contents]:
        raise damaged_file(archive, f"no {', '.join(lacking)} inside")
    return contents


def _decode(path: Path, content: bytes) -> Labelled:
    """Turn records into images (N, 32, 32, 3) and labels (N,), both uint8."""
    if not content or len(content) % RECORD_BYTES:
        raise damaged_file(
            path,
            f"{len(content)} bytes; wanted a whole number of records of {RECORD_BYTES}",
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
    labels = records[:, 0]
    if labels.max() > 9:
        raise damaged_file(path, f"a label {labels.max()}; wanted 0 to 9")
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return Labelled(planes.transpose(0, 2, 3, 1), labels)
