"""A disk that is full or cannot be written: a clear error, and nothing is lost."""

import dataclasses
import gc
import os
import shutil
import subprocess

import jax.numpy as jnp
import pytest

from jaxnets.training.trainer.checkpoints import Checkpoints
from tests.training.recovery import RECIPE, run


resource = pytest.importorskip("resource", reason="needs the limits of POSIX")
# Orbax's threads end with exceptions and coroutines of their own.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestWarning")


@pytest.fixture(autouse=True)
def collected():
    """Collect what Orbax leaves while its warnings are still ignored.

    Otherwise they are raised in a later test, whichever runs when Python collects.
    """
    yield
    gc.collect()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The weights of a run that nothing disturbed."""
    return run(tmp_path_factory.mktemp("untouched")).params_sha256


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, which needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, capture_output=True).returncode
    ):
        pytest.skip("may not mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def after(step, act):
    """Return a function for `on_call` that acts once, after that step."""
    done = []

    def call(number, figures):
        if number >= step and not done:
            done.append(number)
            act()

    return call


def intact(folder):
    """The steps of the checkpoints that are complete."""
    return {int(path.parent.name) for path in folder.rglob("manifest.json")}


@pytest.mark.parametrize(
    ("every", "most", "message", "left"),
    [
        (60, 500, r"metrics.jsonl could not be written: File too large", set()),
        (10, 3400, r"checkpoint .* could not be written: .*File too large", {10}),
    ],
    ids=["figures", "checkpoint"],
)
def test_a_write_that_fails(every, most, message, left, expected, tmp_path):
    """The operating system refuses to write files beyond a size."""
    recipe = dataclasses.replace(RECIPE, checkpoint_every=every)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(OSError, match=message):
            run(tmp_path, recipe, on_call=after(22, limit))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left <= intact(tmp_path)
    assert run(tmp_path).params_sha256 == expected


def test_a_full_disk(expected, disk):
    def fill():
        with (disk / "filler").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()

    def filling():
        with pytest.raises(OSError, match="No space left"):
            fill()

    with pytest.raises(OSError, match=r"could not be written|MB free"):
        run(disk / "run", on_call=after(22, filling))
    (disk / "filler").unlink()
    assert 10 in intact(disk)
    assert run(disk / "run").params_sha256 == expected


def test_a_disk_that_becomes_read_only(expected, disk):
    remount = lambda how: subprocess.run(
        ["mount", "-o", f"remount,{how}", str(disk)], check=True
    )
    with pytest.raises(
        OSError, match=r"could not be written: .*(Read-only|PERMISSION)"
    ):
        run(disk / "run", on_call=after(22, lambda: remount("ro")))
    with pytest.raises(OSError, match="Read-only"):
        run(disk / "run")
    assert 10 in intact(disk)
    remount("rw")
    assert run(disk / "run").params_sha256 == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write any folder")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(OSError, match="Permission denied"):
        run(tmp_path / "run")


def test_a_folder_that_vanishes(expected, tmp_path):
    folder = tmp_path / "run"
    gone = lambda: shutil.move(folder, tmp_path / "moved")
    message = r"could not be written: .*; .* was moved or removed meanwhile"
    with pytest.raises(OSError, match=message):
        run(folder, on_call=after(22, gone))
    assert run(tmp_path / "moved").params_sha256 == expected


def test_a_folder_that_orbax_makes_again(tmp_path, monkeypatch):
    """Whatever Orbax misses in it, the error says that the folder was moved."""
    folder = tmp_path / "checkpoints"
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(1, {"w": jnp.ones(2)}, {})
        checkpoints.wait()
        checkpoints.save(2, {"w": jnp.ones(2)}, {})
        saver = checkpoints._orbax()
        finish = saver.wait_until_finished

        def moved_meanwhile():
            finish()
            shutil.move(folder, tmp_path / "moved")
            folder.mkdir()
            raise ValueError("No ArrayMetadata found")

        monkeypatch.setattr(saver, "wait_until_finished", moved_meanwhile)
        with pytest.raises(OSError, match=r"No ArrayMetadata found; .* was moved"):
            checkpoints.wait()
        monkeypatch.undo()


def test_a_folder_that_vanishes_and_is_made_again(expected, tmp_path):
    """A checkpoint that begins after the folder was moved makes it again."""
    folder, moved = tmp_path / "run", tmp_path / "moved"

    def gone(number, figures):
        # Nothing is being written, so only the figures can miss the folder.
        if not moved.exists() and max(intact(folder), default=0) == number // 10 * 10:
            shutil.move(folder, moved)
            (folder / "checkpoints").mkdir(parents=True)

    with pytest.raises(OSError, match=r"metrics.jsonl could not be written: No such"):
        run(folder, on_call=gone)
    assert run(moved).params_sha256 == expected
