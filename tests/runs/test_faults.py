"""Run folders that are damaged, hostile or something else: refused by name, or drawn.

Each case was seen to end in a traceback, to hang or to be taken silently.
"""

import json
import os
import resource
import stat

import pytest

from jaxnets.report import export_charts, write_report
from jaxnets.runs.configuration import ContrastConfig
from jaxnets.runs.files import read_text, write_bytes, write_text
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.records import Record, write_records
from jaxnets.runs.summary import measured


CONFIG = {"studies": ["time"], "scale": "smoke", "seeds": [0, 1], "dataset": "digits"}
RECORDS = [
    Record("time", "rnn-12", "RNN", 12.0, seed, step, "validation_loss", "", None, 2.0)
    for seed in (0, 1)
    for step in (1, 2)
]
ARM = {"study": "time", "arm": "rnn-12", "status": "finished", **measured(RECORDS)}
HEADER = ",".join(Record._fields)
ROW = "time,rnn-12,RNN,12.0,0,1,loss,,,2.0"
DEEP = "[" * 100_000


def named(values):
    """Name a case by what the error says of it, and not by 200,000 characters."""
    return values if isinstance(values, str) and len(values) < 60 else ""


def write_run(folder, config=CONFIG, records=RECORDS, summary=None):
    """Write the files of a run; bytes and texts are written as they stand."""
    for name, content in (("config.json", config), ("summary.json", summary)):
        if content is not None:
            data = content if isinstance(content, bytes | str) else json.dumps(content)
            data = data.encode() if isinstance(data, str) else data
            (folder / name).write_bytes(data)
    if isinstance(records, list):
        write_records(folder / "records.csv", records)
    elif records is not None:
        data = records.encode() if isinstance(records, str) else records
        (folder / "records.csv").write_bytes(data)
    return RunFolder(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": []}, "`seeds` is empty; wanted at least one"),
        ({"seeds": "012"}, "`seeds` is '012'; wanted a list of whole numbers"),
        ({"seeds": ["a"]}, "`seeds` has 'a'; wanted whole numbers"),
        ({"seeds": [True]}, "`seeds` has True; wanted whole numbers"),
        ({"seeds": [0.5]}, "`seeds` has 0.5; wanted whole numbers"),
        ({"seeds": [-1]}, "`seeds` has -1; wanted numbers from 0"),
        ({"seeds": [2**31]}, "`seeds` has 2147483648; wanted numbers from 0"),
        ({"seeds": [10**400]}, "`seeds[0]` is a whole number beyond"),
        ({"seeds": [3, 3]}, "`seeds` is (3, 3); wanted each of them once"),
        ({"seeds": None}, "`seeds` is None; wanted a list"),
        ({"studies": ["nonsense"]}, "`studies` has 'nonsense'; wanted one of depth"),
        ({"studies": [["time"]]}, "`studies` has ['time']; wanted one of depth"),
        ({"studies": "time"}, "`studies` is 'time'; wanted a list of names"),
        ({"scale": "huge"}, "`scale` has 'huge'; wanted one of smoke"),
        ({"scale": {}}, "`scale` has {}; wanted one of smoke"),
        ({"dataset": "imagenet"}, "`dataset` has 'imagenet'; wanted one of digits"),
        ({"rate": 1}, "`rate` is not known; wanted studies"),
        ("{}", "`studies` is missing; wanted studies"),
        ("null", "holds a null; wanted an object"),
        ("[]", "holds a list; wanted an object"),
        ("", "is not JSON"),
        (DEEP, "is not JSON"),
        ('{"studies":' + "[" * 90 + "]" * 90 + "}", "is nested deeper than 16 levels"),
        (b'{"studies": "\xe9"}', "is not UTF-8 text: byte 13 is 0xe9"),
        (b"\x89PNG\r\n", "is not UTF-8 text: byte 0"),
    ],
    ids=named,
)
def test_a_configuration_that_cannot_be_run(tmp_path, change, words):
    config = {**CONFIG, **change} if isinstance(change, dict) else change
    folder = write_run(tmp_path, config)
    with pytest.raises(ValueError) as caught:
        folder.config()
    assert "config.json cannot be read" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("", "the first row is ()"),
        ("a,b\n", "the first row is ('a', 'b')"),
        (
            f"{HEADER}\n{ROW[:20]}",
            "line 2: ['time', 'rnn-12', 'RNN', '12.0'] is not a record (it has 4",
        ),
        (f"{HEADER}\n{ROW},\n", "is not a record (it has 11 fields; wanted 10)"),
        (f"{HEADER}\n\n{ROW}\n", "line 2: [] is not a record"),
        (f'{HEADER}\n{ROW}\n"time', "line 3: it is not CSV"),
        (f"{HEADER}\ntime,{'x' * 200_000}\n", "line 2: it is not CSV"),
        (f"{HEADER}\n,{ROW[5:]}\n", "`study`: it is empty"),
        (f"{HEADER}\n{ROW.replace('12.0', 'nan')}\n", "`size`: nan is not finite"),
        (f"{HEADER}\n{ROW.replace('12.0', '1e999')}\n", "`size`: 1e999 is too large"),
        (f"{HEADER}\n{ROW[:-3]}-1e999\n", "`value`: -1e999 is too large"),
        (f"{HEADER}\n{ROW[:-3]}two\n", "`value`: could not convert"),
        (f"{HEADER}\n{ROW.replace(',0,1,', ',-2,1,')}\n", "`seed`: -2 is not from -1"),
        (f"{HEADER}\n{ROW.replace(',0,1,', ',0,-1,')}\n", "`step`: -1 is not from 0"),
        (f"{HEADER}\n{ROW.replace(',,2', f',{10**30},2')}\n", "`position`: 1000"),
        (f"{HEADER}\n".encode() + b"time,caf\xe9", "is not UTF-8 text"),
    ],
    ids=named,
)
def test_records_that_cannot_be_read(tmp_path, rows, words):
    folder = write_run(tmp_path, records=rows)
    with pytest.raises(ValueError) as caught:
        folder.read()
    assert "records.csv" in str(caught.value) and words in str(caught.value)


def test_records_as_other_programs_save_them(tmp_path):
    text = f"\ufeff{HEADER}\r\n{ROW}\r\n"
    assert len(write_run(tmp_path, records=text).records()) == 1


# A field of the summary, what stands there, and whether that is a fault. Otherwise
# nothing is known of the field.
WRONG = [None, [], {}, "x", 3, True, -1.5, [[]], ["x"], [None]]
FIELDS = ["verdicts", "claims", "arms", "environment", "command", "started", "seconds"]
FIELDS += ["notes", "initialisers", "config"]


@pytest.mark.parametrize("field", FIELDS)
def test_a_summary_with_a_wrong_field_is_drawn_and_not_resumed(tmp_path, field):
    for value in WRONG:
        folder = write_run(tmp_path, summary={"arms": [ARM], field: value})
        run = folder.read()
        if any(f"summary.json: `{field}" in remark for remark in run.remarks):
            with pytest.raises(ValueError, match=rf"summary.json: `{field}.*; wanted"):
                folder.summary()
        else:
            folder.summary()
    # Drawn with the last one, and not with all: each page has a bundle of 0.9 MB.
    assert write_report(tmp_path).is_file()


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ([{**ARM, "status": "done"}], "`arms[0].status` is 'done'; wanted one of"),
        ([{**ARM, "arm": ["x"]}], "`arms[0].arm` is ['x']; wanted a text"),
        ([{**ARM, "records": -1}], "`arms[0].records` is -1; wanted a whole number"),
        ([{**ARM, "size": "12"}], "`arms[0].size` is '12'; wanted a number"),
        ([{**ARM, "seconds": -1}], "`arms[0].seconds` is -1; wanted a finite number"),
        ([ARM, ARM], "`arms` has 2 entries of 'rnn-12'; wanted one"),
        ([{"status": "finished"}], "`arms[0]` has no name"),
    ],
)
def test_an_entry_of_an_arm_that_is_wrong(tmp_path, arms, words):
    folder = write_run(tmp_path, summary={"arms": arms})
    assert any(words in remark for remark in folder.read().remarks)
    with pytest.raises(ValueError) as caught:
        folder.summary()
    assert words in str(caught.value)


def test_the_report_says_which_arm_is_not_whole(tmp_path):
    folder = write_run(tmp_path, records=RECORDS[:3], summary={"arms": [ARM]})
    words = "rnn-12 is damaged: records.csv has 3 of its 4 records"
    assert any(words in remark for remark in folder.read().remarks)


@pytest.mark.parametrize("name", ["config.json", "records.csv", "summary.json"])
def test_what_is_no_file_is_not_taken_for_a_missing_one(tmp_path, name):
    outside = tmp_path / "outside"
    outside.write_text("{}")
    folder = tmp_path / "run"
    folder.mkdir()
    write_run(folder, summary={})
    (folder / name).unlink()
    for make, words in [
        (os.mkdir, "is a folder; wanted a file"),
        (lambda path: os.symlink(outside, path), "is a link; wanted a file"),
        (lambda path: os.symlink("nowhere", path), "is a link; wanted a file"),
        (os.mkfifo, "is a device or pipe; wanted a file"),
    ]:
        make(folder / name)
        with pytest.raises(ValueError, match=f"{name} {words}"):
            RunFolder(folder).read()
        path = folder / name
        path.rmdir() if path.is_dir() else path.unlink()


def test_what_is_written_replaces_links_and_stays_in_the_folder(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "page").write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    write_run(run)
    (run / "report.html").symlink_to(outside / "page")
    assert not write_report(str(run)).is_symlink()
    (run / "charts").symlink_to(outside)
    with pytest.raises(ValueError, match="charts is not a folder but a link"):
        export_charts(str(run))
    assert (outside / "page").read_text() == "mine"
    assert os.listdir(outside) == ["page"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"a\.txt"):
            write_bytes(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["a.txt"] and path.read_bytes() == b"old"
    with pytest.raises(FileExistsError, match="is a folder and not a file"):
        write_bytes(tmp_path, b"")
    write_text(tmp_path / "b.txt", "caf\udce9")
    assert read_text(tmp_path / "b.txt") == "caf\\udce9"


def test_control_characters_and_foreign_bytes_do_not_leave_a_run(tmp_path):
    run = tmp_path / os.fsdecode(b"caf\xe9")
    run.mkdir()
    nasty = [r._replace(family="R\x1b[2J[/x]NN", place="\x9b31m") for r in RECORDS]
    summary = {"command": f"jaxnets --out {run}", "verdicts": [{"where": "\x1b[31m"}]}
    found = write_run(run, records=nasty, summary=summary).read()
    assert {(r.family, r.place) for r in found.records} == {
        (r"R\x1b[2J[/x]NN", r"\x9b31m")
    }
    assert found.summary["verdicts"] == [{"where": r"\x1b[31m"}]
    assert r"caf\udce9" in write_report(run).read_text(encoding="utf-8")
    RunFolder(run).save(found.records, {"command": str(run)})
    assert RunFolder(run).summary()["command"].endswith(r"caf\udce9")


@pytest.mark.parametrize("draw", [write_report, export_charts])
def test_what_is_no_run_is_not_drawn(tmp_path, draw):
    for path, error, words in [
        (tmp_path, ValueError, "`run` is .*, which holds no run; wanted the folder"),
        (str(tmp_path / "none"), ValueError, "which is not a folder"),
        ("", ValueError, "`run` is empty"),
    ]:
        with pytest.raises(error, match=words):
            draw(path)
    with pytest.raises(TypeError):
        draw(3)


def test_a_run_begins_in_a_new_folder_or_an_empty_one(tmp_path):
    config = ContrastConfig.parse(CONFIG)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds 'notes.txt' and no run"):
        RunFolder(tmp_path).create(config)
    with pytest.raises(ValueError, match=r"notes.txt, which is not a folder"):
        RunFolder(tmp_path / "notes.txt").create(config)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / ".DS_Store").write_text("")
    RunFolder(empty).create(config)
    assert RunFolder(empty).config() == config
