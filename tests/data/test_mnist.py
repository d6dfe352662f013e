import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from jaxnets.data import mnist
from jaxnets.data.mnist_files import SHA256
from tests.data.official_files import idx_bytes, write_mnist
from tests.data.test_files import served


REAL = Path(__file__).parents[3] / "shared" / "data" / "mnist"
TRAIN_IMAGES, TRAIN_LABELS, _, TEST_LABELS = SHA256


@pytest.mark.parametrize("zipped", [True, False], ids=["gz", "plain"])
def test_the_official_files_become_splits(tmp_path, rng, zipped):
    arrays = write_mnist(tmp_path, 200, 30, zipped, rng)
    splits = mnist(tmp_path)
    assert [len(split.x) for split in splits] == [180, 20, 30]
    for x, y in splits:
        assert (x.shape[1:], x.dtype) == ((28, 28, 1), np.float32)
        assert (y.shape, y.dtype) == (x.shape[:1], np.int32)
        assert np.asarray(x).flags.c_contiguous
    wanted = arrays["t10k-images-idx3-ubyte"] / 255
    np.testing.assert_allclose(splits.test.x[..., 0], wanted, rtol=1e-6)
    np.testing.assert_array_equal(splits.test.y, arrays["t10k-labels-idx1-ubyte"])
    np.testing.assert_array_equal(np.bincount(splits.validation.y), [2] * 10)
    seen = []
    for x, y in (splits.train, splits.validation):
        numbers = np.rint(x[:, 0, :2, 0] * 255).astype(int) @ [256, 1]
        np.testing.assert_array_equal(y, arrays[TRAIN_LABELS][numbers])
        seen += numbers.tolist()
    assert sorted(seen) == list(range(200))


def test_the_validation_split_depends_on_the_seed_only(tmp_path, rng):
    write_mnist(tmp_path, 200, 10, True, rng)
    one, same, other = mnist(tmp_path), mnist(tmp_path, seed=0), mnist(tmp_path, seed=1)
    np.testing.assert_array_equal(one.validation.x, same.validation.x)
    assert not np.array_equal(one.validation.x, other.validation.x)


def unreadable(content):
    return b"not gzip" + content


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (f"{TRAIN_IMAGES}.gz", lambda c: c[:-100], "not a complete gzip file"),
        (f"{TRAIN_IMAGES}.gz", unreadable, "not a complete gzip file"),
        (
            f"{TRAIN_IMAGES}.gz",
            lambda c: c[:-6] + bytes([c[-6] ^ 1]) + c[-5:],
            "not a complete gzip file",
        ),
        (
            f"{TRAIN_LABELS}.gz",
            lambda c: gzip.compress(gzip.decompress(c)[:-1]),
            r"207 bytes; wanted 208 for the header's sizes \(200,\)",
        ),
        (
            f"{TRAIN_LABELS}.gz",
            lambda c: gzip.compress(idx_bytes(np.zeros((200, 28, 28)))),
            "the header is '00 00 08 03 .*wanted '00 00 08 01' and 1 sizes",
        ),
        (f"{TRAIN_LABELS}.gz", lambda c: gzip.compress(b""), "the header is ''"),
        (
            f"{TRAIN_LABELS}.gz",
            lambda c: gzip.compress(idx_bytes(np.full(200, 10))),
            "a label is 10; wanted 0 to 9",
        ),
        (
            f"{TRAIN_IMAGES}.gz",
            lambda c: gzip.compress(idx_bytes(np.zeros((200, 9, 9)))),
            r"the images have \(9, 9\) pixels; wanted \(28, 28\)",
        ),
    ],
)
def test_a_damaged_file_is_named_and_refused(tmp_path, rng, name, damage, message):
    write_mnist(tmp_path, 200, 30, True, rng)
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"(?s){name}: {message}.*Delete it"):
        mnist(tmp_path, download=True)


def test_images_and_labels_of_different_data_sets_are_refused(tmp_path, rng):
    write_mnist(tmp_path, 200, 30, False, rng)
    (tmp_path / TEST_LABELS).write_bytes(idx_bytes(np.zeros(29)))
    with pytest.raises(ValueError, match=r"has 30 images, but .* has 29 labels"):
        mnist(tmp_path)


def test_missing_files_are_listed(tmp_path, rng):
    write_mnist(tmp_path, 200, 30, True, rng)
    (tmp_path / f"{TEST_LABELS}.gz").unlink()
    message = (
        rf"MNIST: .* has no {TEST_LABELS}\[.gz\]\. Put .*mnist\(.*, download=True\)`"
    )
    with pytest.raises(FileNotFoundError, match=message):
        mnist(tmp_path)


def test_missing_files_are_downloaded_once(tmp_path, rng, monkeypatch):
    server, cache = tmp_path / "server", tmp_path / "cache"
    server.mkdir()
    write_mnist(server, 200, 30, True, rng)
    digests = {
        name: hashlib.sha256((server / f"{name}.gz").read_bytes()).hexdigest()
        for name in SHA256
    }
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("JAXNETS_DATA", str(cache))
    monkeypatch.setattr("jaxnets.data.mnist_files.SHA256", digests)
    with served(server) as address:
        monkeypatch.setattr("jaxnets.data.mnist_files.MIRROR", f"{address}/")
        downloaded = mnist(download=True)
    assert len(list((cache / "mnist").iterdir())) == 4
    np.testing.assert_array_equal(downloaded.test.x, mnist(server).test.x)
    # The server is closed now, so existing files are not downloaded again.
    np.testing.assert_array_equal(downloaded.test.x, mnist(download=True).test.x)


@pytest.mark.skipif(not REAL.is_dir(), reason="no MNIST in shared/data")
def test_the_original_files_are_read():
    for name, digest in SHA256.items():
        content = (REAL / f"{name}.gz").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    train, validation, test = mnist(REAL)
    assert [len(split.x) for split in (train, validation, test)] == [54000, 6000, 10000]
    assert np.asarray(test.y)[:5].tolist() == [7, 2, 1, 0, 4]
    # The mean and standard deviation that normalising MNIST usually takes.
    assert abs(np.mean(train.x) - 0.1307) < 5e-4
    assert abs(np.std(train.x) - 0.3081) < 5e-4
