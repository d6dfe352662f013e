"""Whatever stops a run, it goes on to the same weights, and says what was damaged."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from flax import nnx

from jaxnets.runs.lock import run_lock
from jaxnets.training import (
    NonFiniteBatch,
    Recipe,
    classification,
    params_sha256,
    train,
)
from jaxnets.training.trainer.checkpoints import Checkpoints
from tests.training.recovery import RECIPE, batch, run


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """The folder of a run that nothing stopped, and its result."""
    folder = tmp_path_factory.mktemp("untouched")
    return folder, run(folder)


@pytest.fixture
def copied(untouched, tmp_path):
    """A copy of that folder, without its last two checkpoints but one."""
    folder = tmp_path / "copy"
    shutil.copytree(untouched[0], folder)
    return folder


def newest(folder):
    return max(path for path in (folder / "checkpoints").iterdir() if path.is_dir())


def test_a_run_that_was_stopped_ends_as_one_that_was_not(untouched, tmp_path):
    seen = [0]
    found = untouched[1]
    for last in (5, 27, RECIPE.steps):
        found = run(
            tmp_path,
            asked_to_stop=lambda last=last: seen[-1] >= last,
            on_call=lambda step, figures: seen.append(step),
        )
        assert found.stopped == (last < RECIPE.steps)
    assert found.params_sha256 == untouched[1].params_sha256
    assert found.metrics == untouched[1].metrics
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert lines == (untouched[0] / "metrics.jsonl").read_text().splitlines()
    steps = [row["step"] for row in map(json.loads, lines) if "loss" in row]
    assert steps == list(range(1, RECIPE.steps + 1))


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path):
    """Short form of `benchmarks/kills.py`: a kill while computing, one while saving."""
    # Not compared with this process, whose eight devices share the processor's threads.
    program = [sys.executable, "-m", "tests.training.recovery"]
    untouched, command = ([*program, str(tmp_path / name)] for name in ("one", "two"))
    expected = subprocess.run(untouched, capture_output=True, text=True, check=True)
    moments = random.Random(0)
    for last in (12, 31):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= last:
                # A checkpoint is written in the background at this time.
                time.sleep(moments.uniform(0, 0.01))
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        process.stdout.close()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *_, digest = done.stdout.split()
    assert 10 < int(first) < 60
    assert digest == expected.stdout.split()[-1]


def test_a_call_is_bounded_by_time(tmp_path, monkeypatch):
    """A signal is answered after a call, so slow updates are made a few at a time."""

    def slow(model, data):
        value, figures = classification(model, data)
        wait = lambda x: (time.sleep(0.05), np.zeros_like(x))[1]
        still = jax.lax.stop_gradient(value)
        return value + jax.pure_callback(wait, still, still), figures

    monkeypatch.setattr("jaxnets.training.trainer.calls.CALL_SECONDS", 0.2)
    recipe = Recipe(steps=16, batch_size=8, learning_rate=0.1)
    model, seen = nnx.Linear(4, 3, rngs=nnx.Rngs(0)), [0]
    show = lambda step, figures: seen.append(step)
    train(model, slow, batch, recipe, tmp_path, on_call=show)
    # The first two calls find out how long an update takes.
    assert seen[:3] == [0, 1, 2]
    assert max(np.diff(seen)) <= 4


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "no manifest"])
def test_a_damaged_checkpoint_is_passed_over(damage, untouched, copied):
    path = newest(copied)
    largest = max(
        (file for file in path.rglob("*") if file.is_file()),
        key=lambda file: file.stat().st_size,
    )
    if damage == "truncated":
        largest.write_bytes(largest.read_bytes()[:-1])
    elif damage == "flipped":
        data = bytearray(largest.read_bytes())
        data[len(data) // 2] ^= 1
        largest.write_bytes(data)
    elif damage == "missing":
        largest.unlink()
    else:
        (path / "manifest.json").unlink()
    said = []
    found = run(copied, say=said.append)
    assert found.params_sha256 == untouched[1].params_sha256
    name = "manifest.json" if damage == "no manifest" else largest.name
    assert f"step {RECIPE.steps} cannot be used" in said[0] and name in said[0]
    assert path.with_name(f"{path.name}.damaged").is_dir(), "nothing is deleted"


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with (
        Checkpoints(tmp_path / "checkpoints") as checkpoints,
        pytest.raises(OSError, match=r"0 MB free.*checkpoints so far are intact"),
    ):
        checkpoints.save(1, {"w": np.zeros(100, np.float32)}, {})
    assert checkpoints.steps() == []


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with (
        run_lock(tmp_path),
        pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"),
        run_lock(tmp_path),
    ):
        pass


def broken(step):
    found = batch(step)
    return found._replace(x=found.x * np.float32(np.nan)) if step == 14 else found


def test_a_batch_that_is_not_finite_ends_the_run_or_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.training.recovery.batch", broken)
    with pytest.raises(NonFiniteBatch, match=r"step 14 .*inputs"):
        run(tmp_path)
    found = run(tmp_path, skip_nonfinite=1)
    assert (found.step, found.skipped) == (RECIPE.steps, 1)
    # What was skipped before is no reason to stop, without the option too.
    longer = dataclasses.replace(RECIPE, steps=RECIPE.steps + 5)
    assert run(tmp_path, longer).step == longer.steps
    assert np.isfinite(found.metrics["validation_loss"])


def test_a_checkpoint_of_another_network_is_refused(copied):
    with (
        Checkpoints(copied / "checkpoints", say=print) as checkpoints,
        pytest.raises(ValueError, match="are not those of this network"),
    ):
        checkpoints.restore({"w": np.zeros(3, np.float32)})


def losses_of(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize(("devices", "shards"), [(2, 1), (4, 2), (8, 8)])
def test_devices_share_a_batch(devices, shards, untouched, tmp_path):
    """The losses are those of one device up to rounding, also with divided weights."""
    seen = []
    options = {"devices": devices, "shards": shards, "evaluation": {}}
    stop = lambda: len(seen) > 0 and seen[-1] >= 10
    call = lambda step, figures: seen.append(step)
    run(tmp_path, asked_to_stop=stop, on_call=call, **options)
    losses = losses_of(tmp_path)
    assert len(losses) >= 10
    expected = losses_of(untouched[0])[: len(losses)]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 3}, "`batch_size` is 8, which 3 devices cannot share"),
        ({"devices": 16}, "`devices` is 16, and JAX has 8"),
        ({"devices": 8, "shards": 3}, "`devices` is 8, and there are 3 `shards`"),
    ],
)
def test_devices_that_cannot_share_are_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(tmp_path, **options)


def test_a_name_that_a_checkpoint_uses_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`about` has the name 'step'"):
        run(tmp_path, about={"step": 3})


@pytest.mark.parametrize("index", [0, 1])
def test_two_processes_one_of_which_is_killed(index, untouched, tmp_path):
    """A run goes from one process to two and back; short for `benchmarks/processes.py`.

    The other process names the one that was killed, also if JAX ends it.
    """
    seen = [0]
    run(
        tmp_path,
        asked_to_stop=lambda: seen[-1] >= 5,
        on_call=lambda step, figures: seen.append(step),
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.training.recovery", str(tmp_path), port]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, str(n)], **options) for n in (0, 1)]
    killed, other = both[index], both[1 - index]
    assert both[0].stdout is not None
    try:
        for line in both[0].stdout:
            # JAX writes a line of its own about the connection.
            if line.strip().isdigit() and int(line) >= 20:
                killed.kill()
                break
        _, errors = other.communicate(timeout=60)
    finally:
        other.kill()
        for process in both:
            process.communicate()
    # JAX may abort the others when the first process ends.
    assert other.returncode in ((1,) if index else (1, -signal.SIGABRT)), errors
    sentence = f"process {index} (process id {killed.pid} on"
    assert errors.count(sentence) == 1 and "Start all processes again" in errors
    assert run(tmp_path).step == RECIPE.steps
    np.testing.assert_allclose(losses_of(tmp_path), losses_of(untouched[0]), rtol=1e-3)


def test_a_run_that_gets_no_better_ends_early(tmp_path):
    recipe = dataclasses.replace(RECIPE, average=0.0, patience=1)
    recipe = dataclasses.replace(recipe, learning_rate=1.0, steps=200)
    assert run(tmp_path, recipe).step < 200


def test_the_digest_is_of_path_dtype_shape_and_bytes():
    one = params_sha256({"a": np.zeros(2, np.float32), "b": np.ones(1)})
    assert one == params_sha256({"b": np.ones(1), "a": np.zeros(2, np.float32)})
    others = [
        {"c": np.zeros(2, np.float32), "b": np.ones(1)},
        {"a": np.zeros((2, 1), np.float32), "b": np.ones(1)},
        {"a": np.zeros(2, np.int32), "b": np.ones(1)},
    ]
    assert len({one, *map(params_sha256, others)}) == 4
