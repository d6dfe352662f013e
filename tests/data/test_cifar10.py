import hashlib

import numpy as np
import pytest

from jaxnets.data import cifar10
from jaxnets.data.cifar10_files import ARCHIVE
from tests.data.official_files import cifar_archive, cifar_files
from tests.data.test_files import served


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def lay_out(folder, layout, files):
    if layout == "archive":
        write(folder, {ARCHIVE.name: cifar_archive(files)})
    else:
        write(folder / layout, files)


@pytest.mark.parametrize("layout", ["", "cifar-10-batches-bin", "archive"])
def test_the_official_files_become_splits(tmp_path, rng, layout):
    files = cifar_files(rng)
    lay_out(tmp_path, layout, files)
    splits = cifar10(tmp_path)
    assert [len(split.x) for split in splits] == [180, 20, 40]
    for x, y in splits:
        assert (x.shape[1:], x.dtype) == ((32, 32, 3), np.float32)
        assert (y.shape, y.dtype) == (x.shape[:1], np.int32)
        assert np.asarray(x).flags.c_contiguous
    content = files["test_batch.bin"]
    for record, channel, row, column in [(0, 0, 0, 0), (3, 1, 4, 5), (39, 2, 31, 30)]:
        byte = content[3073 * record + 1 + 1024 * channel + 32 * row + column]
        value = splits.test.x[record, row, column, channel]
        np.testing.assert_allclose(value, byte / 255, rtol=1e-6)
        assert splits.test.y[record] == content[3073 * record]
    np.testing.assert_array_equal(np.bincount(splits.validation.y), [2] * 10)


def test_every_training_record_is_used_once(tmp_path, rng):
    files = cifar_files(rng)
    write(tmp_path, files)
    splits = cifar10(tmp_path)
    pixels = [np.rint(np.asarray(s.x) * 255).astype(np.uint8) for s in splits[:2]]
    rows = sorted(p.transpose(2, 0, 1).tobytes() for split in pixels for p in split)
    content = b"".join(files[f"data_batch_{n}.bin"] for n in range(1, 6))
    starts = range(0, len(content), 3073)
    assert rows == sorted(content[start + 1 : start + 3073] for start in starts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(3073 * 40 - 1), "122919 bytes; wanted a whole number of records"),
        (b"", "0 bytes; wanted a whole number of records"),
        (bytes([10]) * 3073 * 40, "a label is 10; wanted 0 to 9"),
    ],
)
def test_a_damaged_file_is_named_and_refused(tmp_path, rng, content, message):
    write(tmp_path, cifar_files(rng) | {"data_batch_3.bin": content})
    with pytest.raises(ValueError, match=rf"data_batch_3.bin: {message}.*Delete it"):
        cifar10(tmp_path, download=True)


def flipped(content, index):
    return content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c[: len(c) // 2], "not a complete archive"),
        (lambda c: c[:-3], "not a complete archive"),
        (lambda c: flipped(c, len(c) - 6), "not a complete archive"),
        (lambda c: b"<html>not found</html>", "not a complete archive"),
    ],
    ids=["half", "without its end", "wrong checksum", "a web page"],
)
def test_a_damaged_archive_is_named_and_refused(tmp_path, rng, damage, message):
    archive = damage(cifar_archive(cifar_files(rng, count=10)))
    write(tmp_path, {ARCHIVE.name: archive})
    with pytest.raises(ValueError, match=rf"{ARCHIVE.name}: {message}.*Delete it"):
        cifar10(tmp_path, download=True)


def test_an_archive_without_a_file_is_refused(tmp_path, rng):
    files = cifar_files(rng, count=10)
    del files["data_batch_2.bin"]
    write(tmp_path, {ARCHIVE.name: cifar_archive(files)})
    with pytest.raises(ValueError, match=r"no data_batch_2.bin inside.*Delete it"):
        cifar10(tmp_path)


def test_missing_files_are_listed(tmp_path, rng):
    with pytest.raises(
        FileNotFoundError, match=r"no data_batch_1.bin.*cifar-10-binary"
    ):
        cifar10(tmp_path)
    files = cifar_files(rng, count=1)
    del files["test_batch.bin"]
    write(tmp_path, files)
    with pytest.raises(FileNotFoundError, match=r"has no test_batch.bin\. Put"):
        cifar10(tmp_path)


def test_the_archive_is_downloaded_once(tmp_path, rng, monkeypatch):
    server, cache = tmp_path / "server", tmp_path / "cache"
    files = cifar_files(rng)
    lay_out(server, "archive", files)
    digest = hashlib.sha256((server / ARCHIVE.name).read_bytes()).hexdigest()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("JAXNETS_DATA", str(cache))
    with served(server) as address:
        url = f"{address}/{ARCHIVE.name}"
        remote = ARCHIVE._replace(url=url, sha256=digest)
        monkeypatch.setattr("jaxnets.data.cifar10_files.ARCHIVE", remote)
        downloaded = cifar10(download=True)
    again = cifar10(download=True)
    np.testing.assert_array_equal(downloaded.validation.x, again.validation.x)
