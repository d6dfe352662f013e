"""The command line: help, mistakes, and a run from its arguments to its report."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxnets.cli import main


RUN = ["contrast", "overfitting", "--scale", "smoke", "--seeds", "2", "--out"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "contrast"),
        (["frobnicate"], "frobnicate"),
        (["contrast", "nonsense"], "nonsense"),
        (["contrast", "--scale", "huge"], "huge"),
        (["contrast", "--seeds", "many"], "many"),
        (["contrast", "--seeds", "0"], "--seeds is 0; wanted at least 1"),
        (["contrast", "--dataset", "imagenet"], "imagenet"),
        (["contrast", "--resume", "no-such-folder"], "holds no run"),
        (["contrast", "--resume", "a", "--out", "b"], "give one of them"),
        (["report", "no-such-folder"], "no-such-folder"),
        (["report", "a", "--format", "gif"], "gif"),
        (["bench", "everything"], "everything"),
        (["bench", "--rounds", "0"], "--rounds is 0; wanted at least 1"),
        (["bench", "--peers", "flax,keras"], "--peers names 'keras'"),
        (["bench", "--rows", "dense"], "no row of ops matches"),
        (["bench", "--json", "no-such-folder/a.json"], "in a folder that exists"),
        (["bench", "--torch-python", "no-such-python"], "no-such-python"),
        (["bench", "training", "--dtype", "bfloat16"], "wanted float32"),
        (["bench", "gradflow", "--peers", "flax"], "times this library alone"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, words, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and words in said.err


@pytest.mark.parametrize("arguments", [["--help"], ["contrast", "--help"]])
def test_help_teaches(arguments, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 0
    said = capsys.readouterr().out
    assert "plain and residual networks" in said and "RNN, GRU and LSTM" in said


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
    assert "jaxlib" in said and "failed" not in said


def test_ctrl_c_leaves_a_readable_run_that_resume_finishes(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "jaxnets", "contrast", "saturation"]
    command += ["overfitting", "--scale", "smoke", "--seeds", "2", "--out", str(folder)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "default"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    # The records of the first arm are written when it ends. Then comes Ctrl-C.
    deadline = time.monotonic() + 240
    while not (folder / "records.csv").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=240)[0].decode()
    assert process.returncode == 130, said
    assert f"Finish with: jaxnets contrast --resume {folder}" in said
    assert (folder / "report.html").is_file()
    assert '"pending"' in (folder / "summary.json").read_text()

    assert main(["contrast", "--resume", str(folder)]) == 0
    assert '"pending"' not in (folder / "summary.json").read_text()
