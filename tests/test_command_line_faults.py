"""Bad command lines, terminals and moments: one line, an exit code, nothing lost."""

import errno
import io
import os
import signal
import subprocess
import sys

import pytest

from jaxnets import gradflow, studies
from jaxnets.cli import main
from jaxnets.cli.arguments import Contrast
from jaxnets.cli.commands import chosen_studies, quoted
from jaxnets.runs.folder import ContrastConfig, RunFolder


CONFIG = ContrastConfig(("depth", "time"), "smoke", (0, 1), "digits")
# What a name may hold: a markup that rich does not know, and a code for the terminal.
NAME = "R[/x]NN \x1b[31m"
SHOWN = r"R[/x]NN \x1b[31m"

# Folders of other commands, and one whose file was cut off.
CONFIGS = {
    "training": '{"task": "adding"}',
    "page": '{"studies": ["model"], "seeds": [0]}',
    "cut": '{"task": "add',
}
# In a folder with `run` (a run), `empty`, `full` (a folder of other things), `file`,
# and those of `CONFIGS`.
MISTAKES = [
    ("", "a command is missing; wanted one of contrast"),
    ("--frob", "there is no option --frob"),
    ("frobnicate", "frobnicate"),
    ("contrast nonsense", "'nonsense' is none of all, depth"),
    ("contrast --scale huge", "huge"),
    ("contrast --sedes 3", "there is no option --sedes; did you mean --seeds?"),
    ("contrast --see 3", "there is no option --see;"),
    ("contrast --seeds many", "many"),
    ("contrast --seeds 0", "--seeds is 0; wanted at least 1"),
    ("contrast --seeds -3", "--seeds is -3; wanted at least 1"),
    ("contrast --seeds 1000000000", "wanted at most 1000"),
    ("contrast --dataset imagenet", "imagenet"),
    ("contrast --out ''", "--out: the name is empty"),
    ("contrast --out run", "already holds a run"),
    ("contrast --out full", "no run; wanted a new folder"),
    ("contrast --out file", "file"),
    ("contrast --resume ''", "--resume: the name is empty"),
    ("contrast --resume no-such-folder", "holds no run"),
    ("contrast --resume empty", "holds no run"),
    (
        "contrast --resume training",
        "It is resumed with `jaxnets train --resume training`",
    ),
    ("contrast --resume page", "page is the page of `jaxnets check`"),
    (
        "contrast --resume cut",
        "may have been cut off. Correct the file, or begin a new",
    ),
    ("contrast --out /dev/null/a", "--out is /dev/null/a, which cannot be written"),
    ("check file --out page", "page already holds a run. Choose another folder.\n"),
    ("check file --out training", "goes on with `jaxnets train --resume training`"),
    ("contrast --resume a --out b", "give one of them"),
    ("contrast --resume run --seeds 9", "began with seeds 2, not 9"),
    ("contrast --resume run depth", "began with studies depth, time, not depth"),
    ("contrast --resume run all --scale laptop", "scale smoke, not laptop"),
    ("contrast --resume run --dataset mnist", "dataset digits, not mnist"),
    ("contrast \x1b[31m", r"\x1b[31m"),
    ("report", "FOLDER"),
    ("report ''", "the name is empty"),
    ("report no-such-folder", "no-such-folder holds no run"),
    ("report empty", "that `jaxnets contrast`, `train` or `check` printed."),
    ("report full", "full holds no run"),
    ("report file", "file holds no run"),
    ("report cut", "may have been cut off. Move it away to draw the run without it"),
    ("report run more", "more"),
    ("report run --format gif", "gif"),
    ("report [/x]\x1b[31m", r"[/x]\x1b[31m holds no run"),
    ("sample", "FOLDER"),
    ("sample no-such-folder", "no-such-folder holds no run"),
    (
        "sample run",
        "run is a run of `jaxnets contrast`; wanted the folder that",
    ),
    ("sample page", "page is the page of `jaxnets check`, which cannot be resumed"),
    ("sample cut", "may have been cut off. Correct the file, or begin a new run."),
    ("train --resume run", "It is resumed with `jaxnets contrast --resume run`"),
    ("train --resume cut", "may have been cut off. Correct the file, or begin a new"),
    ("train adding --out file/a", "--out is file/a, which cannot be written"),
    ("train adding --out file", "--out is file, which is not a folder"),
    ("train adding --steps -3", "--steps is -3; wanted 1"),
    ("train adding --devices 999", "--devices is 999, and JAX has 8; wanted at most 8"),
    ("train dna --data nothing", "nothing, where there is nothing; wanted the file or"),
    ("train adding --steps 2 --set steps=5", "by --steps or by --set steps=VALUE"),
    ("train adding --set warmup=1 --set warmup=2", "by --set warmup=VALUE"),
    ("sample run --top-k many", "many"),
    ("doctor now", "now"),
    ("bench everything", "everything"),
    ("bench --rounds 0", "--rounds is 0; wanted at least 1"),
    ("bench --rounds 99999999999", "wanted at most 1000"),
    ("bench --batch -1", "--batch is -1; wanted at least 1"),
    ("bench --batch 99999999999", "wanted at most 1000000"),
    ("bench --peers flax,keras", "--peers names 'keras'"),
    ("bench --peers ,", "--peers is ','; wanted some of flax, torch"),
    ("bench --rows dense", "no row of ops matches"),
    ("bench --rows ,", "--rows is ','; wanted a text"),
    ("bench --json no-such-folder/a.json", "in a folder that exists"),
    ("bench --json file/a.json", "in a folder that exists"),
    ("bench --json empty", "--json is empty; wanted a file"),
    ("bench --json ''", "--json: the name is empty"),
    ("bench --json /proc/a.json", "in a folder that can be written"),
    ("bench --markdown .", "--markdown is .; wanted a file"),
    ("bench --json a --markdown a", "name two files"),
    ("bench --torch-python no-such-python", "no-such-python"),
    ("bench --torch-python file", "file: Permission denied"),
    ("bench --torch-python /bin/echo", "it printed"),
    ("bench training --dtype bfloat16", "wanted float32"),
    ("bench gradflow --peers flax", "times this library alone"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    RunFolder(tmp_path / "run").create(CONFIG)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    (tmp_path / "file").touch()
    for name, text in CONFIGS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def contrast(monkeypatch):
    """Make a run end at once, with names from records in its verdicts and claims."""
    where, sentence = f"{NAME} against GRU", f"{NAME} ≈ 3"
    verdict = gradflow.Verdict("contrast", "note", where, 1.0, sentence, study="time")
    claim = {"number": 1, "statement": NAME, "sentence": f"{NAME} ≈ 4"}

    def contrast(config, path, *, resume, command, console):
        if not resume:
            RunFolder(path).create(config)
        RunFolder(path).save([], {"claims": [claim], "command": command})
        return studies.RunResult(path, False, [verdict])

    monkeypatch.setattr(studies, "contrast", contrast)


@pytest.mark.parametrize(("line", "words"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_one_line_and_nothing_runs(line, words, capsys, monkeypatch):
    monkeypatch.delattr(studies, "contrast")
    monkeypatch.delattr("jaxnets.bench.runs.time_case")
    arguments = ["" if word == "''" else word for word in line.split()]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and words in said.err
    assert said.err.startswith("jaxnets: ") and "\x1b" not in said.err


def test_arguments_that_agree_may_be_given_to_resume(contrast, capsys):
    same = ["time", "depth", "--seeds", "2", "--scale", "smoke"]
    assert main(["contrast", *same, "--resume", "run"]) == 0
    assert RunFolder("run").config() == CONFIG


def test_all_and_theory_are_all_and_theory():
    everything = ("depth", "time", "saturation", "overfitting", "theory")
    assert chosen_studies(Contrast(("theory", "all"))) == everything
    assert chosen_studies(Contrast()) == everything[:-1]
    assert chosen_studies(Contrast(("time", "depth", "time"))) == everything[:2]


@pytest.mark.parametrize("command", ["contrast", "bench", "doctor"])
@pytest.mark.parametrize("error", [RuntimeError("no\nfoo"), AssertionError()])
def test_without_a_device_there_is_one_line(command, error, capsys, monkeypatch):
    def devices():
        raise error

    monkeypatch.setattr("jax.devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "foo")
    assert main([command]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert "JAX_PLATFORMS is 'foo'" in said.err


def test_names_in_records_do_not_steer_the_terminal(contrast, capsys):
    assert main(["contrast", "time", "--out", "new"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert said.count(SHOWN) == 4


def test_bytes_that_are_not_utf_8_are_printed_as_they_are(contrast, capfdbinary):
    path = os.fsdecode(b"\xff \xfe[/x]")
    assert main(["contrast", "time", "--out", path]) == 0
    assert capfdbinary.readouterr().out.endswith(b"\xff \xfe[/x]/report.html\n")
    assert main(["report", path]) == 0
    assert capfdbinary.readouterr().out == b"\xff \xfe[/x]/report.html\n"
    assert main(["report", path + "?"]) == 2
    assert rb"\udcff \udcfe[/x]? holds no run" in capfdbinary.readouterr().err
    assert quoted(path) == r"$'\xff\x20\xfe\x5b\x2f\x78\x5d'"
    assert quoted("runs/first run") == "'runs/first run'"


def test_an_encoding_without_a_character_shows_its_code(contrast, monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    assert main(["contrast", "time", "--out", "new"]) == 0
    assert rb"\u2248 3" in output.buffer.getvalue()


class Broken(io.StringIO):
    """A stream that cannot be written."""

    def __init__(self, number):
        super().__init__()
        self._error = OSError(number, os.strerror(number))

    def write(self, text):
        raise self._error


@pytest.mark.parametrize(
    ("stream", "number", "code", "words"),
    [
        ("stdout", errno.EPIPE, 0, ""),
        ("stdout", errno.ENOSPC, 1, "cannot be written: No space left on device."),
        ("stderr", errno.EPIPE, 0, ""),
        ("stderr", errno.ENOSPC, 0, ""),
    ],
)
def test_a_report_is_written_where_nothing_can_be_printed(
    contrast, stream, number, code, words, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(sys, stream, Broken(number))
    assert main(["contrast", "time", "--out", "new"]) == code
    assert (tmp_path / "new" / "report.html").is_file()
    assert main(["report", "new"]) == code
    if stream == "stdout":
        said = capsys.readouterr().err.splitlines()
        assert len(said) == (2 if words else 0)
        assert all(words in line for line in said)


@pytest.mark.parametrize(("number", "code"), [(errno.EPIPE, 0), (errno.ENOSPC, 1)])
def test_a_benchmark_that_nobody_reads_ends(number, code, monkeypatch):
    monkeypatch.delattr("jaxnets.bench.runs.time_case")
    monkeypatch.setattr(sys, "stdout", Broken(number))
    assert main(["bench", "--rows", "avg_pool", "--peers", "flax"]) == code


CATCH = """
import sys, time, types
from jaxnets.cli.signals import Signals
signals = Signals()
signals.catch()
"""
WAIT = "print('ready', flush=True); time.sleep(60)"
SAVE = f"""
try:
    with signals.saving():
        {WAIT}
except KeyboardInterrupt:
    print('saved', flush=True)
"""
LOSE = """
try:
    with signals.saving():
        sys.unraisablehook(types.SimpleNamespace(exc_type=KeyboardInterrupt))
        time.sleep(60)
except KeyboardInterrupt:
    pass
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("program", "number", "code", "out", "err"),
    [
        (WAIT, signal.SIGINT, 130, "", "Stopping.\n"),
        (WAIT, signal.SIGTERM, 143, "", "Stopping.\n"),
        (SAVE + WAIT, signal.SIGHUP, 129, "saved\n", "Stopping;"),
        # A second signal ends the process while it saves.
        (SAVE + WAIT, signal.SIGINT, 130, "saved\n", "Stopping;"),
        (SAVE + "sys.exit(signals.exit_code)", signal.SIGTERM, 143, "saved\n", "Sto"),
        # Python may have to drop the exception, which then comes again.
        (LOSE + WAIT, None, 143, "", "Stopping.\n"),
        # While JAX is imported.
        ("from jaxnets.cli import main; main(['doctor'])", signal.SIGINT, 130, "", "S"),
    ],
)
def test_signals_are_answered_at_once(program, number, code, out, err, tmp_path):
    slow = tmp_path / "path" / "jax"
    slow.mkdir(parents=True)
    (slow / "__init__.py").write_text(f"import time; {WAIT}")
    search = [str(slow.parent), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", CATCH + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number or signal.SIGTERM)
    if program == SAVE + WAIT:
        assert process.stdout.readline() == "saved\n"
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out = ""
    said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert said[0] == out and said[1].startswith(err)
    assert "Traceback" not in said[1] and "Exception" not in said[1]
