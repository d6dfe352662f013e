"""Resuming a run whose files are damaged: nothing is lost, and nothing silent."""

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from jaxnets.runs.lock import LOCK
from jaxnets.runs.records import Record, read_records
from jaxnets.studies import ContrastConfig, Outcome, RunFolder, contrast, overfitting


CONFIG = ContrastConfig(("overfitting",), "smoke", (0, 1), "digits")
ARMS = ["no-dropout", "dropout-0.5"]


def outcome(arm):
    """Two records for each seed, as if the arm had been trained."""
    where = (arm.study, arm.name, arm.family, float(arm.size))
    return Outcome(
        [
            Record(*where, seed, step, "train_loss", "", None, 1.0 / (seed + step))
            for seed in CONFIG.seeds
            for step in (1, 2)
        ],
        parameters=10,
        compile_seconds=0.1,
    )


@pytest.fixture
def taken(monkeypatch):
    """The names of the arms that ran, which do not train here."""
    taken = []

    def instead(arm, seeds, on_epoch):
        taken.append(arm.name)
        return outcome(arm)

    monkeypatch.setattr(overfitting, "run", instead)
    monkeypatch.setattr("jaxnets.studies.run.SIDE_BY_SIDE", 1)
    return taken


def run(folder, config=CONFIG, resume=False):
    """Run or resume; return what the console said."""
    said = io.StringIO()
    console = Console(file=said, width=300)
    contrast(config, folder, resume=resume, command="test", console=console)
    return said.getvalue()


def edit_summary(folder, **changes):
    file = folder / "summary.json"
    summary = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(summary))
    return summary


def cut(folder, rows):
    """Keep the header and the first rows of the records."""
    file = folder / "records.csv"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[: rows + 1]))


def change_value(folder):
    file = folder / "records.csv"
    file.write_text(file.read_text().replace(",1.0\n", ",1.5\n", 1))


@pytest.mark.parametrize(
    ("damage", "again", "words"),
    [
        (lambda run: (run / "records.csv").unlink(), ARMS, "has 0 of its 4 records"),
        (lambda run: cut(run, 0), ARMS, "has 0 of its 4 records"),
        (lambda run: cut(run, 2), ARMS, "no-dropout runs again: records.csv has 2 of"),
        (
            lambda run: cut(run, 7),
            ARMS[1:],
            "dropout-0.5 runs again: records.csv has 3",
        ),
        (change_value, ARMS[:1], "are not those that were measured"),
        (
            lambda run: (run / "summary.json").unlink(),
            ARMS,
            "are kept in records-before",
        ),
        (lambda run: (run / "summary.json").write_text("{}"), ARMS, "are kept in"),
        (lambda run: None, [], ""),
    ],
)
def test_an_arm_that_is_not_whole_runs_again(tmp_path, taken, damage, again, words):
    folder = tmp_path / "run"
    run(folder)
    whole = (folder / "records.csv").read_bytes()
    taken.clear()
    damage(folder)
    left = folder / "records.csv"
    before = read_records(left) if left.exists() else []

    said = run(folder, resume=True)
    assert taken == again and words in said
    assert (folder / "records.csv").read_bytes() == whole
    assert {a["status"] for a in RunFolder(folder).summary()["arms"]} == {"finished"}
    # What was there and is not taken over is in a file that the command names.
    kept = list(folder.glob("records-before-*.csv"))
    dropped = any(record.arm in again for record in before)
    assert len(kept) == dropped
    if kept:
        assert kept[0].name in said and read_records(kept[0]) == before


def test_a_run_of_an_older_version_counts_as_whole_and_says_so(tmp_path, taken):
    run(tmp_path)
    summary = RunFolder(tmp_path).summary()
    for arm in summary["arms"]:
        del arm["records"], arm["checksum"]
    edit_summary(tmp_path, arms=summary["arms"])
    taken.clear()
    assert "could not be checked that these arms are intact" in run(
        tmp_path, resume=True
    )
    assert taken == []
    (tmp_path / "records.csv").unlink()
    assert "has no records of it" in run(tmp_path, resume=True)
    assert taken == ARMS


def test_what_belongs_to_another_run_is_refused_and_left_alone(tmp_path, taken):
    run(tmp_path)
    names = ("config.json", "records.csv", "summary.json")
    whole = {name: (tmp_path / name).read_bytes() for name in names}
    foreign = whole["records.csv"].replace(b"no-dropout,", b"plain-20,")
    entries = json.loads(whole["summary.json"])["arms"]
    entries[0]["arm"] = "plain-20"
    config = whole["config.json"].replace(b"1\n", b"2\n")
    other = ContrastConfig(("time",), "smoke", (0, 1), "digits")
    summary = json.dumps({"arms": entries}).encode()
    for name, data, asked, words in [
        ("records.csv", foreign, CONFIG, "records.csv has the arm 'plain-20'"),
        ("summary.json", summary, CONFIG, "summary.json has the arm 'plain-20'"),
        ("config.json", config, None, r"not the one that .*`seeds` is \(0, 2\)"),
        ("config.json", whole["config.json"], other, r"`studies` is \('time',\) and"),
    ]:
        for each in names:
            (tmp_path / each).write_bytes(whole[each])
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=words):
            run(tmp_path, asked or RunFolder(tmp_path).config(), resume=True)
        assert (tmp_path / name).read_bytes() == data
        assert not (tmp_path / LOCK).exists()


def test_one_process_at_a_time_runs_in_a_folder(tmp_path, taken):
    run(tmp_path)
    lock = tmp_path / LOCK
    code = (
        "import sys, pathlib\n"
        "from jaxnets.runs.lock import run_lock\n"
        "with run_lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError, match=f"in use: process {other.pid} on"):
            run(tmp_path, resume=True)
        other.kill()
    # The file that a killed process leaves locks nothing.
    assert lock.exists()
    run(tmp_path, resume=True)
    assert not lock.exists()
    lock.write_text('{"pid": 1, "host": "elsewhere", "since": "2026-01-01"}')
    with pytest.raises(BlockingIOError, match=r"elsewhere .* delete .*\.lock"):
        run(tmp_path, resume=True)


def test_ctrl_c_says_at_once_that_the_run_stops(tmp_path, monkeypatch):
    def interrupted(arm, seeds, on_epoch):
        raise KeyboardInterrupt

    monkeypatch.setattr(overfitting, "run", interrupted)
    said = io.StringIO()
    result = contrast(CONFIG, str(tmp_path), console=Console(file=said))
    assert result.interrupted and result.path == tmp_path
    assert "Stopping: " in said.getvalue()
    states = [arm["status"] for arm in RunFolder(tmp_path).summary()["arms"]]
    assert states == ["pending", "pending"]
