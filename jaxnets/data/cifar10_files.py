"""CIFAR-10, read from its official binary files."""

import gzip
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np

from jaxnets.data.arguments import check_data_set
from jaxnets.data.files import (
    RemoteFile,
    damaged_file,
    data_folder,
    fetch,
    missing_files,
)
from jaxnets.data.splits import Labelled, Splits, split_off, unit_interval


ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
SUBFOLDER = "cifar-10-batches-bin"
TRAIN = [f"data_batch_{number}.bin" for number in range(1, 6)]
TEST = "test_batch.bin"
# A record is one byte of label and the red, green and blue planes of 32x32 bytes.
RECORD_BYTES = 1 + 3 * 32 * 32


def cifar10(
    folder: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    seed: int = 0,
) -> Splits:
    """Read CIFAR-10: 60,000 colour photographs of 32x32 pixels in ten classes.

    The test split is the official one (10,000 images). The training and validation
    splits are 90 and 10 percent of the official training set (45,000 and 5,000, as in
    He et al. 2015, section 4.2), stratified by class; they depend on `seed` only. The
    classes are, in order: airplane, automobile, bird, cat, deer, dog, frog, horse,
    ship, truck.

    Every file is checked before use: its length, that its labels are 0 to 9, and the
    archive's own checksum. A downloaded archive must also have the published sha256.

    Args:
        folder: The folder that holds `data_batch_1.bin` to `data_batch_5.bin` and
            `test_batch.bin`, or the folder `cifar-10-batches-bin` with them inside, or
            `cifar-10-binary.tar.gz`, which is read without unpacking it. None is the
            subfolder `cifar10` of the folder that the environment variable
            `JAXNETS_DATA` names; if it is not set, of `$XDG_CACHE_HOME/jaxnets` or
            `~/.cache/jaxnets`.
        download: Whether to download the archive (170 MB) if `folder` has none of
            these. An existing file is never replaced.
        seed: Seed of the split into training and validation.

    Returns:
        `Splits` of `Labelled(x, y)`, NumPy arrays: `x` (N, 32, 32, 3) float32 in
        [0, 1], channels red, green, blue; `y` (N,) int32, 0 to 9.

    Raises:
        FileNotFoundError: If files are missing and `download` is false.
        TypeError: If `folder`, `download` or `seed` has a wrong type.
        ValueError: If a file is damaged, has other content than its name says, or has
            too few images; or if `folder` is not a folder, or `seed` not from 0 to
            2^32 - 1.
        OSError: If a download fails.

    Example:
        >>> from jaxnets.data import cifar10
        >>> train, validation, test = cifar10(download=True)  # doctest: +SKIP

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
    Keras and torchvision read a pickled version of the same pixels. Unpickling a file
    can run code that is in it; reading the binary files cannot.
    """
    check_data_set(folder, download, seed)
    place = data_folder(folder, "cifar10")
    contents = _read_files(place, download)
    parts = {path.name: _decode(path, content) for path, content in contents.items()}
    x = np.concatenate([parts[name].x for name in TRAIN])
    y = np.concatenate([parts[name].y for name in TRAIN])
    # Split while the pixels are bytes, which take a quarter of the memory of float32.
    train, validation = split_off(x, y, 0.1, seed, f"CIFAR-10 in {place}")
    test = parts[TEST]
    return Splits(unit_interval(train), unit_interval(validation), unit_interval(test))


def _read_files(folder: Path, download: bool) -> dict[Path, bytes]:
    """Return the bytes of the six files, or of those inside the archive, by path."""
    names = [*TRAIN, TEST]
    for parent in (folder, folder / SUBFOLDER):
        missing = [name for name in names if not (parent / name).is_file()]
        if not missing:
            return {parent / name: (parent / name).read_bytes() for name in names}
        if len(missing) < len(names):
            raise missing_files("CIFAR-10", parent, missing)
    archive = folder / ARCHIVE.name
    if not archive.is_file():
        if not download:
            raise missing_files("CIFAR-10", folder, [*names, f"and no {archive.name}"])
        fetch(ARCHIVE, folder)
    return _read_archive(archive, names)


def _read_archive(archive: Path, names: list[str]) -> dict[Path, bytes]:
    """Return the bytes of the files `names` inside `archive`."""
    contents = {}
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped) as tar:
            for member in tar:
                name = Path(member.name).name
                if name not in names:
                    continue
                # A link is not followed, and of two files neither is preferred.
                if not member.isfile() or archive / name in contents:
                    raise tarfile.TarError(f"{name} is a link, or is there twice")
                stream = tar.extractfile(member)
                contents[archive / name] = stream.read() if stream else b""
            # The checksum is at the very end, after all that tarfile reads.
            unzipped.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise damaged_file(archive, f"not a complete archive ({error})") from error
    if missing := [name for name in names if archive / name not in contents]:
        raise damaged_file(archive, f"no {', '.join(missing)} inside")
    return contents


def _decode(path: Path, content: bytes) -> Labelled:
    """Return the images (N, 32, 32, 3) and labels (N,) of a file, both uint8."""
    if not content or len(content) % RECORD_BYTES:
        raise damaged_file(
            path,
            f"{len(content)} bytes; wanted a whole number of records of {RECORD_BYTES}",
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
    labels = records[:, 0]
    if labels.max() > 9:
        raise damaged_file(path, f"a label is {labels.max()}; wanted 0 to 9")
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return Labelled(planes.transpose(0, 2, 3, 1), labels)
