"""Small files in the official formats, written without the code that reads them."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np


def idx_bytes(array: np.ndarray) -> bytes:
    header = b"\x00\x00\x08" + bytes([array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + sizes + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, train: int, test: int, zipped: bool, rng) -> dict:
    """Write the four files and return `{file name without .gz: array}`."""
    arrays = {}
    for part, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 28, 28))
        # The first two bytes of each image are its number.
        images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(count), 256)
        arrays[f"{part}-images-idx3-ubyte"] = images
        arrays[f"{part}-labels-idx1-ubyte"] = rng.permutation(np.arange(count) % 10)
    for name, array in arrays.items():
        content = idx_bytes(array)
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return arrays


def cifar_files(rng, count: int = 40) -> dict[str, bytes]:
    """Return the six binary files, `count` records each, as `{name: bytes}`."""
    names = [*(f"data_batch_{n}.bin" for n in (1, 2, 3, 4, 5)), "test_batch.bin"]
    files = {}
    for name in names:
        records = rng.integers(0, 256, (count, 3073))
        records[:, 0] = np.arange(count) % 10
        files[name] = records.astype(np.uint8).tobytes()
    return files


def cifar_archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        extra = {"batches.meta.txt": b"airplane\n", "readme.html": b"<html></html>"}
        for name, content in (extra | files).items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
