"""MNIST from its official idx files."""

import gzip
import math
import os
import struct
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


MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# By file name without `.gz`; the digests are those of the gzipped originals.
SHA256 = {
    "train-images-idx3-ubyte": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}


def mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    seed: int = 0,
) -> Splits:
    """Read MNIST: 70,000 handwritten digits of 28x28 pixels.

    The test part is the official one (10,000). Train and validation are 90 and 10 per
    cent of the official training set (54,000 and 6,000), stratified by digit, chosen
    by `seed` alone. A data set in the same files, such as Fashion-MNIST, is read too.

    Every file is checked before use: header, length, labels 0 to 9, and gzip's own
    checksum; what is downloaded also for its sha256.

    Args:
        folder: Holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two
            `t10k-` files, each as it is or with `.gz`. None means `mnist` below the
            environment variable `JAXNETS_DATA`, or else below `~/.cache/jaxnets` (or
            `$XDG_CACHE_HOME/jaxnets`).
        download: Whether to fetch files that `folder` lacks, 12 MB in all. A file that
            is there is never replaced.
        seed: Chooses another validation part.

    Returns:
        `Splits` of `Labelled(x, y)`, NumPy arrays: `x` (N, 28, 28, 1) float32 in
        [0, 1], 1 for full ink; `y` (N,) int32, 0 to 9.

    Raises:
        FileNotFoundError: If files are missing and `download` is false.
        ValueError: If a file is damaged or not what its name says.
        OSError: If a download fails.

    Example:
        >>> from jaxnets.data import mnist
        >>> train, validation, test = mnist(download=True)  # doctest: +SKIP

    Source: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to
    Document Recognition".
    """
    place = data_folder(folder, "mnist")
    paths = _find(place, download)
    official = _read_part(paths, "train", place)
    test = _read_part(paths, "t10k", place)
    x, y = np.asarray(official.x), np.asarray(official.y)
    train, validation = set_aside(x, y, 0.1, seed)
    return Splits(unit_interval(train), unit_interval(validation), unit_interval(test))


def _find(place: Path, download: bool) -> dict[str, Path]:
    """Return the path of each of the four files, downloaded if that is wanted."""
    found = {}
    for name, sha256 in SHA256.items():
        plain, zipped = place / name, place / f"{name}.gz"
        if plain.is_file() or zipped.is_file():
            found[name] = plain if plain.is_file() else zipped
        elif download:
            remote = RemoteFile(zipped.name, MIRROR + zipped.name, sha256)
            found[name] = fetch(remote, place)
    if lacking := [f"{name}[.gz]" for name in SHA256 if name not in found]:
        raise missing_files("MNIST", place, lacking)
    return found


def _read_part(paths: dict[str, Path], part: str, place: Path) -> Labelled:
    """Read images (N, 28, 28, 1) and labels (N,), both uint8."""
    image_path = paths[f"{part}-images-idx3-ubyte"]
    label_path = paths[f"{part}-labels-idx1-ubyte"]
    images, labels = _read_idx(image_path, 3), _read_idx(label_path, 1)
    if images.shape[1:] != (28, 28):
        raise damaged_file(
            image_path, f"images of {images.shape[1:]} pixels; wanted (28, 28)"
        )
    if labels.size and labels.max() > 9:
        raise damaged_file(label_path, f"a label {labels.max()}; wanted 0 to 9")
    if len(images) != len(labels):
        raise ValueError(
            f"{place}: {image_path.name} has {len(images)} images, but "
            f"{label_path.name} {len(labels)} labels. They belong to different data "
            "sets; get both again from one source."
        )
    return Labelled(images[..., None], labels)


def _read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read one idx file of `ndim` axes of unsigned bytes."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged_file(path, f"not a whole gzip file ({error})") from error
    # Two zero bytes, 8 for unsigned bytes, the number of axes; then the sizes.
    magic, start = bytes([0, 0, 8, ndim]), 4 + 4 * ndim
    if len(content) < start or content[:4] != magic:
        raise damaged_file(
            path,
            f"the header is {content[:start].hex(' ')!r}; wanted {magic.hex(' ')!r} "
            f"and {ndim} sizes of 4 bytes",
        )
    shape = struct.unpack(f">{ndim}I", content[4:start])
    wanted, came = start + math.prod(shape), len(content)
    if came != wanted:
        raise damaged_file(
            path, f"the header says {shape}, that is {wanted} bytes, but {came} came"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
