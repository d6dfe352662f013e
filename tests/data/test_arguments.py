"""Arguments and files that no data set can be made of: refused, and named."""

import inspect
import io
import tarfile
from pathlib import Path

import jax
import pytest

from jaxnets import data
from jaxnets.data.cifar10_files import ARCHIVE
from tests.data.official_files import cifar_archive, cifar_files, write_mnist


FILE = Path(__file__)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("digits", {"seed": -1}, ValueError, "`seed` is -1; wanted 0 to 4294967295"),
        ("digits", {"seed": 2**32}, ValueError, "`seed` is 4294967296; wanted"),
        ("digits", {"seed": True}, TypeError, "`seed` is True; wanted an int"),
        ("mnist", {"seed": 0.5}, TypeError, "`seed` is 0.5; wanted an int"),
        ("mnist", {"folder": 3}, TypeError, "`folder` is 3; wanted a path"),
        ("mnist", {"folder": b"a"}, TypeError, "`folder` is b'a'; wanted a path"),
        ("mnist", {"folder": ""}, ValueError, "`folder` is ''; wanted the path"),
        ("mnist", {"folder": FILE}, ValueError, "`folder` is .*py'; wanted the path"),
        ("mnist", {"download": "no"}, TypeError, "`download` is 'no'; wanted True or"),
        ("cifar10", {"folder": FILE}, ValueError, "`folder` is .*; wanted the path"),
        ("cifar10", {"seed": -2}, ValueError, "`seed` is -2; wanted"),
        ("epoch_batches", (True, 1), TypeError, "`count` is True; wanted an int"),
        ("epoch_batches", (4, 2.0), TypeError, "`batch_size` is 2.0; wanted an int"),
        ("adding_problem", (2, "9"), TypeError, "`length` is '9'; wanted an int"),
        ("copy_memory", (2, None), TypeError, "`lag` is None; wanted an int"),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, error, message):
    # As users call it: without the type checks of the tests.
    function = inspect.unwrap(getattr(data, name))
    with pytest.raises(error, match=message):
        if isinstance(arguments, dict):
            function(**arguments)
        else:
            function(jax.random.key(0), *arguments)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (0, 30, "train-images-idx3-ubyte: no images in it"),
        (200, 0, "t10k-images-idx3-ubyte: no images in it"),
        (3, 30, "MNIST in .*: 3 examples of 3 classes are too few"),
        (30, 30, "MNIST in .*: 30 examples of 10 classes are too few"),
    ],
)
def test_too_few_images_are_refused(tmp_path, rng, train, test, message):
    write_mnist(tmp_path, train, test, False, rng)
    with pytest.raises(ValueError, match=message):
        data.mnist(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.REGTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "test_batch.bin"])
def test_an_archive_with_links_is_refused(tmp_path, rng, kind, target):
    files = cifar_files(rng, count=10)
    if kind != tarfile.REGTYPE:
        del files["data_batch_1.bin"]
    buffer = io.BytesIO(cifar_archive(files))
    changed = io.BytesIO()
    with (
        tarfile.open(fileobj=buffer) as old,
        tarfile.open(fileobj=changed, mode="w:gz") as new,
    ):
        for member in old:
            new.addfile(member, old.extractfile(member))
        # A link in the place of a file, or a second file of its name.
        extra = tarfile.TarInfo("other/data_batch_1.bin")
        extra.type, extra.linkname = kind, target
        new.addfile(extra)
    (tmp_path / ARCHIVE.name).write_bytes(changed.getvalue())
    with pytest.raises(ValueError, match=r"data_batch_1.bin is a link, or is there tw"):
        data.cifar10(tmp_path)
