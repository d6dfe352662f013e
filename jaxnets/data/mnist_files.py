"""MNIST, read from its official idx files."""

import gzip
import math
import os
import struct
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


MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# The digests of the gzipped original files, by file name without `.gz`.
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

    The test split is the official one (10,000 images). The training and validation
    splits are 90 and 10 percent of the official training set (54,000 and 6,000),
    stratified by digit; they depend on `seed` only. A data set with files of the same
    names and format, such as Fashion-MNIST, can be read from its own `folder`.

    Every file is checked before use: its header and length, that its labels are 0 to 9,
    and gzip's own checksum. A downloaded file must also have the published sha256.

    Args:
        folder: The folder that holds `train-images-idx3-ubyte`,
            `train-labels-idx1-ubyte` and the two `t10k-` files, each gzipped with the
            suffix `.gz` or not. None is the subfolder `mnist` of the folder that the
            environment variable `JAXNETS_DATA` names; if it is not set, of
            `$XDG_CACHE_HOME/jaxnets` or `~/.cache/jaxnets`.
        download: Whether to download the files that `folder` does not have, 12 MB in
            all. An existing file is never replaced.
        seed: Seed of the split into training and validation.

    Returns:
        `Splits` of `Labelled(x, y)`, NumPy arrays: `x` (N, 28, 28, 1) float32 from 0,
        no ink, to 1, full ink; `y` (N,) int32, 0 to 9.

    Raises:
        FileNotFoundError: If files are missing and `download` is false.
        TypeError: If `folder`, `download` or `seed` has a wrong type.
        ValueError: If a file is damaged, has other content than its name says, or has
            too few images; or if `folder` is not a folder, or `seed` not from 0 to
            2^32 - 1.
        OSError: If a download fails.

    Example:
        >>> from jaxnets.data import mnist
        >>> train, validation, test = mnist(download=True)  # doctest: +SKIP

    Source: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to
    Document Recognition".
    """
    check_data_set(folder, download, seed)
    place = data_folder(folder, "mnist")
    paths = _find(place, download)
    official = _read_split(paths, "train")
    test = _read_split(paths, "t10k")
    x, y = np.asarray(official.x), np.asarray(official.y)
    train, validation = split_off(x, y, 0.1, seed, f"MNIST in {place}")
    return Splits(unit_interval(train), unit_interval(validation), unit_interval(test))


def _find(folder: Path, download: bool) -> dict[str, Path]:
    """Return the paths of the four files; download missing ones if `download`."""
    found = {}
    for name, sha256 in SHA256.items():
        plain, zipped = folder / name, folder / f"{name}.gz"
        if plain.is_file() or zipped.is_file():
            found[name] = plain if plain.is_file() else zipped
        elif download:
            remote = RemoteFile(zipped.name, MIRROR + zipped.name, sha256)
            found[name] = fetch(remote, folder)
    if missing := [f"{name}[.gz]" for name in SHA256 if name not in found]:
        raise missing_files("MNIST", folder, missing)
    return found


def _read_split(paths: dict[str, Path], split: str) -> Labelled:
    """Return the images (N, 28, 28, 1) and labels (N,) of a split, both uint8."""
    image_path = paths[f"{split}-images-idx3-ubyte"]
    label_path = paths[f"{split}-labels-idx1-ubyte"]
    images, labels = _read_idx(image_path, 3), _read_idx(label_path, 1)
    if not len(images):
        raise damaged_file(image_path, "no images in it")
    if images.shape[1:] != (28, 28):
        raise damaged_file(
            image_path, f"the images have {images.shape[1:]} pixels; wanted (28, 28)"
        )
    if labels.size and labels.max() > 9:
        raise damaged_file(label_path, f"a label is {labels.max()}; wanted 0 to 9")
    if len(images) != len(labels):
        raise ValueError(
            f"{image_path.parent}: {image_path.name} has {len(images)} images, but "
            f"{label_path.name} has {len(labels)} labels. They belong to different "
            "data sets. Download both again from one source."
        )
    return Labelled(images[..., None], labels)


def _read_idx(path: Path, ndim: int) -> np.ndarray:
    """Return the array in an idx file of unsigned bytes with `ndim` axes."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged_file(path, f"not a complete gzip file ({error})") from error
    # The header is two zero bytes, 8 for unsigned bytes, the number of axes, and sizes.
    magic, start = bytes([0, 0, 8, ndim]), 4 + 4 * ndim
    if len(content) < start or content[:4] != magic:
        raise damaged_file(
            path,
            f"the header is {content[:start].hex(' ')!r}; wanted {magic.hex(' ')!r} "
            f"and {ndim} sizes of 4 bytes",
        )
    shape = struct.unpack(f">{ndim}I", content[4:start])
    wanted = start + math.prod(shape)
    if len(content) != wanted:
        raise damaged_file(
            path,
            f"{len(content)} bytes; wanted {wanted} for the header's sizes {shape}",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
