"""Benchmarks run from the command line and from a script."""

import re
import subprocess
import sys

import jax
import pytest

from jaxnets.bench.grid import chosen_rows
from jaxnets.bench.measurement import Measurement
from jaxnets.bench.options import Options
from jaxnets.bench.pytorch.process import VARIABLE, PeerError, find_python
from jaxnets.bench.record import read_record
from jaxnets.cli import main


@pytest.fixture(autouse=True)
def without_torch(monkeypatch):
    """Make PyTorch unavailable, whatever this machine has."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_a_run_prints_and_writes_what_it_measured(tmp_path, capsys):
    files = {"--json": tmp_path / "ops.json", "--markdown": tmp_path / "ops.md"}
    arguments = ["bench", "ops", "--rows", "max_pool*k8", "--batch", "1", "--quick"]
    arguments += [str(word) for pair in files.items() for word in pair]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "PyTorch is left out: this Python has no PyTorch; name one" in said
    record = read_record(files["--json"].read_text())
    assert record.suite == "ops" and record.settings["peers"] == ["flax"]
    assert record.environment["cores"] >= 1 and record.environment["jax"]
    forward, gradients = record.measurements
    assert isinstance(forward, Measurement)
    assert (forward.direction, gradients.direction) == ("forward", "gradients")
    for measurement in record.measurements:
        assert measurement.plan == "reduce_window"
        assert set(measurement.seconds) == {"ours", "flax"}
        # Each contender has three rounds of positive times.
        assert all(len(s) == 3 and min(s) > 0 for s in measurement.seconds.values())
        assert min(measurement.calls.values()) >= 1
        name = "max_pool 1x64x64x16 k8 s8"
        assert measurement.name == name and name in said
        assert name in files["--markdown"].read_text()


def test_rows_that_do_not_fit_are_told_in_one_line(capsys, monkeypatch):
    def time_case(case, **options):
        raise jax.errors.JaxRuntimeError("INTERNAL: Out of memory allocating 9 bytes.")

    monkeypatch.setattr("jaxnets.bench.runs.time_case", time_case)
    assert main(["bench", "--rows", "max_pool*k8", "--peers", "flax"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Pass a smaller --batch" in said


def test_a_comma_at_the_end_does_not_match_everything():
    assert len(chosen_rows(Options("ops", rows=" avg*k8 ,"))) == 1


def test_list_shows_the_rows_and_runs_nothing(capsys):
    assert main(["bench", "--list", "--rows", "scan8*k7"]) == 0
    said = capsys.readouterr().out
    assert said == "conv_in_scan: scan8 conv 32x16x16x64-64 k7 g64\n"


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    attributes = Options.__doc__ or ""
    for name in Options.__dataclass_fields__:
        explained = re.search(rf"^ {{8}}{name}: (\w+ \w+)", attributes, re.M)
        assert explained and explained[1] in said, name


def test_the_interpreter_for_pytorch(tmp_path, monkeypatch):
    python = tmp_path / "python"
    with pytest.raises(PeerError, match="has no PyTorch; name one that has"):
        find_python(None)
    with pytest.raises(PeerError, match="--torch-python is"):
        find_python(python)
    python.touch()
    monkeypatch.setenv(VARIABLE, str(python))
    assert find_python(None) == str(python)
    assert find_python(tmp_path / "python") == str(python)


def test_an_interpreter_without_pytorch_is_told_in_one_line(tmp_path, capsys):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho \'{"error": "No module named torch"}\'\n')
    python.chmod(0o755)
    arguments = ["bench", "--rows", "conv", "--torch-python", str(python)]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "jaxnets: PyTorch cannot run: No module named torch\n"


def test_a_script_needs_no_plotting_library():
    # benchmarks/README.md shows this for machines that have none of these.
    program = """
import sys
sys.modules.update(dict.fromkeys(["sklearn", "altair", "torch"]))
from jaxnets.bench import options, runs
runs.run(options.Options("training", batch=2, list=True))
try:
    options.Options("everything")
except ValueError as error:
    print(error)
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    row, *others, error = answer.stdout.splitlines()
    assert len(others) == 3
    assert row == "resnet: resnet 2x32x32x3 classes10 depth20"
    assert error.startswith("--suite is 'everything'; wanted one of ops, recurrent")
