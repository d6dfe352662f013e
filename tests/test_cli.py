"""The command line: help, mistakes, and a run from its arguments to its report."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxnets._version import __version__
from jaxnets.cli import main


RUN = ["contrast", "overfitting", "--scale", "smoke", "--seeds", "2", "--out"]


COMMANDS = ["contrast", "check", "train", "sample", "report", "bench", "doctor"]


def help_of(capsys, *command):
    with pytest.raises(SystemExit) as leaving:
        main([*command, "--help"])
    assert leaving.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 64])
def test_help_fits_the_terminal(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in [[], *([name] for name in COMMANDS)]:
        lines = help_of(capsys, *command).splitlines()
        assert max(map(len, lines)) <= columns
        assert not any("None" in line for line in lines)


def test_help_lists_the_commands_and_explains_each_in_its_own(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    short = help_of(capsys)
    assert all(f"\n  {name} " in short for name in COMMANDS)
    assert short.count("\n") <= 18 and "RNN" not in short
    long = help_of(capsys, "contrast")
    assert "plain and residual networks" in long and "RNN, GRU and LSTM" in long


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"jaxnets {__version__}\n"


def test_help_imports_nothing_heavy():
    code = (
        "import sys, jaxnets.cli\n"
        "heavy = {'jax', 'flax', 'altair', 'sklearn', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_ends_with_its_verdicts_and_the_path_of_its_report(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main([*RUN, str(folder)]) == 0
    said = capsys.readouterr().out
    assert "Dropout" in said
    assert said.rstrip().splitlines()[-1] == f"Report: {folder / 'report.html'}"
    assert (folder / "report.html").is_file()

    (folder / "report.html").unlink()
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").is_file()

    assert main([*RUN, str(folder)]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_doctor_finds_this_machine_well(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "jaxlib" in said and "allocator" in said and "failed" not in said


def test_a_signal_leaves_a_readable_run_that_resume_finishes(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "jaxnets", "contrast", "saturation"]
    command += ["overfitting", "--scale", "smoke", "--seeds", "2", "--out", str(folder)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "default"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    # The records of the first arm are written when it ends. Then comes `kill`.
    deadline = time.monotonic() + 240
    while not (folder / "records.csv").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, progress = (each.decode() for each in process.communicate(timeout=240))
    assert process.returncode == 143, said
    assert "Stopping; Ctrl-C again ends at once." in progress
    assert f"Finish with: jaxnets contrast --resume {folder}" in said
    assert (folder / "report.html").is_file()
    assert '"pending"' in (folder / "summary.json").read_text()

    assert main(["contrast", "--resume", str(folder)]) == 0
    assert '"pending"' not in (folder / "summary.json").read_text()
