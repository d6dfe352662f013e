"""`jaxnets train`: the files of a run, its end by a signal, and what it refuses."""

import dataclasses
import json
import shutil
import signal
import struct
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from jaxnets.cli import main
from jaxnets.runs.catalogue import TASKS
from jaxnets.runs.records import read_records
from jaxnets.tasks import TrainConfig, run_task, task_of
from jaxnets.tasks.text import Text
from jaxnets.training import rows_of_step


SMALL = ["--steps", "4", "--checkpoint-every", "2", "--set", "batch_size=4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a short run of `characters` on a text of its own."""
    path = tmp_path_factory.mktemp("train")
    (path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 90)
    arguments = ["--data", str(path / "text.txt"), "--out", str(path / "run")]
    evaluated = ["--set", "evaluate_every=2", "--seed", "3"]
    assert main(["train", "characters", *SMALL, *evaluated, *arguments]) == 0
    return path / "run"


def test_a_run_has_its_files(folder):
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["task"], summary["step"]) == ("characters", 4)
    assert len(summary["params_sha256"]) == 64
    metrics = summary["metrics"]
    losses = [metrics[f"{name}_loss"] for name in ("validation", "floor", "5_gram")]
    assert min(losses) == losses[2] > 0
    assert {verdict["study"] for verdict in summary["verdicts"]} == {"model"}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 2, 3, 4, 4]
    config = TrainConfig.read(folder)
    assert (config.recipe.seed, config.recipe.batch_size) == (3, 4)
    steps = {record.step for record in read_records(folder / "records.csv")}
    assert steps == {0, 2, 4}
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["00000002", "00000004"]
    page = (folder / "report.html").read_text()
    assert 'id="results"' in page and "5 gram loss" in page


def test_a_finished_run_is_resumed_to_the_same_and_drawn(folder, capsys):
    before = (folder / "summary.json").read_text()
    digest = json.loads(before)["params_sha256"]
    capsys.readouterr()
    assert main(["train", "--resume", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"The run in {folder} had ended after all of its 4 updates, so noth" in said
    assert max(map(len, said.partition("validation")[0].splitlines())) <= 80
    after = json.loads((folder / "summary.json").read_text())
    assert (after["step"], after["params_sha256"]) == (4, digest)
    page = folder / "report.html"
    page.unlink()
    assert main(["report", str(folder)]) == 0
    assert page.stat().st_size < 1e6
    assert main(["sample", str(folder), "--length", "3", "--prompt", "fox"]) == 0
    assert "\nfox" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "'nothing' is none of characters"),
        ([], "Give a task"),
        (["adding", "--resume", "run"], "Give a task"),
        (["--resume", "nowhere"], "holds no run"),
        (["--resume", "FOLDER", "--steps", "9"], "without other arguments"),
        (["adding", "--set", "speed=3"], "there is no 'speed' in a recipe"),
        (["adding", "--set", "warmup=-1"], "`warmup` is -1"),
        (["adding", "--steps", "100000000"], "wanted 1 to 99999999"),
        (["adding", "--skip-nonfinite", "-1"], "--skip-nonfinite is -1; wanted at lea"),
        (["adding", "--set", "label_smoothing=0.1"], "only the loss"),
        (["adding", "--process-count", "0"], "--process-count is 0; wanted at lea"),
        (["characters", "--set", "hidden=0"], "`hidden` is 0; wanted 1 or more"),
        (["characters", "--set", "dropout=0.5"], "`dropout` is 0.5 and `layers` is 1"),
        (["adding", "--set", "hidden=9"], "there is no 'hidden' in a recipe"),
        (["adding", "--set", "optimizer=best"], "`optimizer` is 'best'; wanted one of"),
        (["adding", "--data", "FOLDER"], "takes no --data"),
        (["characters", "--data", "FOLDER"], "is a folder; wanted a text file"),
        (["adding", "--devices", "3"], "`batch_size` is 64, which 3 devices"),
        (["adding", "--out", "FOLDER"], "already holds a run"),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_what_is_wrong_is_said_in_one_line(words, message, folder, tmp_path, capsys):
    words = [word.replace("FOLDER", str(folder)) for word in words]
    if "--out" not in words and "--resume" not in words:
        words += ["--out", str(tmp_path / "run")]
    assert main(["train", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    # Otherwise the corrected command would be refused.
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": 5}, "`data` is 5; wanted a string"),
        ({"task": None}, "`task` is None; wanted one of"),
        ({"devices": "two"}, "`devices` is 'two'; wanted an int"),
        ({"shards": 0}, "`shards` is 0; wanted 1 or more"),
        ({"recipe": [1]}, "must be a mapping"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_a_damaged_configuration_is_refused(change, message, folder, tmp_path, capsys):
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    assert main(["train", "--resume", str(tmp_path)]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "cannot be read as the configuration" in error and message in error


def test_without_a_checkpoint_it_is_said_that_training_begins_again(tmp_path):
    recipe = task_of("adding").recipe
    recipe = dataclasses.replace(recipe, steps=2, batch_size=2, checkpoint_every=1)
    config, said = TrainConfig("adding", recipe), []
    run_task(config, tmp_path, say=said.append)
    run_task(config, tmp_path, say=said.append)
    assert said == []
    shutil.rmtree(tmp_path / "checkpoints")
    run_task(config, tmp_path, say=said.append)
    [sentence] = said
    assert sentence.endswith("checkpoints, so training begins again at update 0.")


def test_a_configuration_that_was_changed_is_refused(folder, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["recipe"]["learning_rate"] = 0.5
    (copy / "config.json").write_text(json.dumps(config))
    assert main(["train", "--resume", str(copy)]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "`learning_rate` is 0.5 and not 0.005" in error


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_signal_ends_the_call_and_saves(number, code, tmp_path):
    command = [sys.executable, "-m", "jaxnets", "train", "adding", "--out", "run"]
    process = subprocess.Popen(
        [*command, "--steps", "100000", "--set", "evaluate_every=100000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not metrics.exists() or metrics.stat().st_size < 1000:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    output, errors = process.communicate()
    assert process.returncode == code, errors
    last = json.loads(metrics.read_text().splitlines()[-1])["step"]
    stopped = f"Stopped after {last} of 100000 updates. Continue with: "
    assert f"{stopped}jaxnets train --resume run\n" in output
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["step"] == last
    assert (tmp_path / "run" / "checkpoints" / f"{last:08d}" / "manifest.json").exists()


@pytest.mark.parametrize("name", TASKS)
def test_the_batch_of_a_step_depends_on_seed_and_step_only(name):
    given = task_of(name).recipe
    recipe = dataclasses.replace(given, batch_size=8, seed=1)
    one, two = (task_of(name).prepare(recipe, None) for _ in range(2))
    assert task_of(name).name == name and TASKS[name]
    for a, b in zip(one.batch(3), two.batch(3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.batch(3)[0], one.batch(4)[0])
    assert all(loss > 0 for loss in one.floors().values())
    # What is kept with a checkpoint has names of its own.
    assert not set(one.about) & {*dataclasses.asdict(recipe), "version", "data", "task"}


def test_every_epoch_has_every_row_once():
    rows = [rows_of_step(0, step, count=12, batch_size=4) for step in range(6)]
    for epoch in (rows[:3], rows[3:]):
        assert sorted(np.concatenate(epoch)) == list(range(12))
    assert not np.array_equal(rows[0], rows[3])


def scalars_of(folder):
    """Return step and value of each tag in TensorBoard's files, the newest last."""
    events = pytest.importorskip("tensorboardX.proto.event_pb2")
    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.iterdir()):
        data, start = path.read_bytes(), 0
        while start < len(data):
            # A record: the length, its checksum, the event, its checksum.
            [length] = struct.unpack_from("<Q", data, start)
            event = events.Event.FromString(data[start + 12 : start + 12 + length])
            start += length + 16
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_tensorboard_shows_what_the_metrics_file_has(tmp_path):
    pytest.importorskip("tensorboardX")
    path = tmp_path / "run"
    options = ["--set", "evaluate_every=2", "--tensorboard", "--out", str(path)]
    assert main(["train", "adding", *SMALL, *options]) == 0
    rows = [
        json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()
    ]
    expected: dict[str, dict[int, Any]] = {}
    for row in rows:
        for name in row.keys() - {"step"}:
            expected.setdefault(name, {})[row["step"]] = pytest.approx(row[name])
    assert scalars_of(path / "tensorboard") == expected
    assert {"loss", "validation_loss"} < expected.keys()


def test_without_a_writer_of_tensorboard_nothing_is_trained(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("jaxnets.gradflow.monitoring.tensorboard.WRITERS", ())
    path = tmp_path / "run"
    assert main(["train", "adding", "--tensorboard", "--out", str(path)]) == 2
    assert "pip install 'jaxnets[tensorboard]'" in capsys.readouterr().err
    assert not path.exists()


def test_a_text_stays_in_its_file(tmp_path, monkeypatch):
    """Its windows are those of the decoded text, also where blocks are small."""
    path = tmp_path / "text.txt"
    text = "".join(np.random.default_rng(0).choice(list("abä€🙂\n"), 3000))
    path.write_bytes(text.encode())
    monkeypatch.setattr("jaxnets.tasks.text.BLOCK", 100)
    found = Text.of_file(path)
    assert found.alphabet == "".join(sorted(set(text)))
    assert isinstance(found._data, np.memmap)
    starts = np.cumsum([0] + [len(character.encode()) for character in text])
    windows = found.windows(starts[[0, 17, 2992]], 8)
    read = ["".join(found.alphabet[code] for code in row) for row in windows]
    assert read == [text[0:8], text[17:25], text[2992:3000]]
    assert found.last_start(0, len(found), 8) == starts[2992]
    assert found.last_start(0, len(found), 3001) < 0
    expected = [text[:100].count(character) for character in found.alphabet]
    assert found.frequencies(0, int(starts[100])).tolist() == expected
    path.write_bytes(text[:200].encode() + b"\xff")
    with pytest.raises(ValueError, match=f"byte {starts[200]} is 0xff; wanted UTF-8"):
        Text.of_file(path)
