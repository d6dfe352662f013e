"""Everything that `benchmarks/on_device.py` measures, at tiny sizes on the CPU."""

import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

from jaxnets.bench.device import groups, recurrences, tables, worker
from jaxnets.bench.device.checks import CheckJob, check_jobs
from jaxnets.bench.device.contrast_job import run_for
from jaxnets.bench.device.options import SHARES, DeviceOptions
from jaxnets.bench.device.record import DeviceRecord, write_record
from jaxnets.bench.device.session import Session
from jaxnets.bench.grid import read_grid
from jaxnets.runs.folder import RunFolder
from jaxnets.studies import ContrastConfig, RunResult
from tests.bench.tiny import recurrence


ROOT = pathlib.Path(__file__).parents[2]
KEY = "recurrent: lstm 2x5x4-6"


def a_session(channel, *, done=(), broken=(), suspects=(), **options):
    quick = {"peers": ("flax",), "sizes": "tiny", "rows": 1, "rounds": 2}
    quick |= {"sample_seconds": 1e-4, **options}
    now = time.time()
    task = {
        "options": dataclasses.asdict(DeviceOptions(**quick)),
        "started": now,
        "end": now + 300,
        "done": done,
        "broken": broken,
        "suspects": suspects,
    }
    # The task crosses a pipe as JSON.
    return Session(json.loads(json.dumps(task)), channel)


def messages_of(**options):
    """What a worker says to the supervisor."""
    channel = io.StringIO()
    worker.work(a_session(channel, **options))
    return [json.loads(line) for line in channel.getvalue().splitlines()]


def rows_of(messages):
    return {m["row"]["key"]: m["row"] for m in messages if "row" in m}


@pytest.fixture(scope="module")
def said():
    """The messages about one row that was compiled program by program."""
    broken = [[KEY, "forward scan", "said nothing for 90 s"]]
    options = {"groups": ("recurrent",), "without": ("split",)}
    return messages_of(**options, broken=broken, suspects=[KEY])


def test_a_row_has_the_times_of_every_implementation_that_runs(said):
    (row,) = rows_of(said).values()
    assert (row["key"], row["group"]) == (KEY, "recurrent")
    forward, gradients = row["measurements"]
    assert (forward["direction"], gradients["direction"]) == ("forward", "gradients")
    # "split" was not asked for.
    ran = {"scan", "in_place", "flax", "ours"}
    assert set(gradients["seconds"]) == ran and set(forward["seconds"]) == ran - {
        "scan"
    }
    for measured in (forward, gradients):
        assert all(len(s) == 2 and min(s) > 0 for s in measured["seconds"].values())
        # The chosen implementation is compiled and timed once.
        assert measured["seconds"]["ours"] == measured["seconds"][measured["plan"]]
        assert "cannot run here: needs an NVIDIA GPU" in measured["skipped"]["cudnn"]
    # What broke a process is told, and not run again.
    assert forward["skipped"]["scan"] == "said nothing for 90 s"


def test_the_supervisor_knows_what_runs(said):
    running = [m["begin"] for m in said if "begin" in m]
    assert running[0] == [[KEY, "*"]]
    assert [[KEY, "gradients flax"]] in running
    assert not any("scan" in str(r) and "forward" in str(r) for r in running)


def test_what_is_done_is_not_measured_again():
    messages = messages_of(groups=("recurrent",), done=[KEY])
    assert not rows_of(messages) and "environment" in messages[0]


def test_a_program_that_compiles_for_too_long_is_left_out(monkeypatch):
    compiled = threading.Event()
    compile = lambda *arguments: compiled.wait(20)
    monkeypatch.setattr("jaxnets.bench.device.rows.JaxProgram", compile)
    messages = messages_of(groups=("ops",), compile_seconds=0.1)
    compiled.set()
    (row,) = rows_of(messages).values()
    for measured in row["measurements"]:
        assert not measured["seconds"]
        assert measured["skipped"]["flax"] == "compiling takes more than 0 s"
    assert "forward: nothing ran" in tables.line_of(row)
    assert "compiling takes more than" in tables.page(DeviceRecord(rows={"a": row}))


def test_a_row_that_cannot_be_built_fails_alone(monkeypatch):
    def cases(row):
        raise MemoryError("RESOURCE_EXHAUSTED:\nout of memory")

    suite = groups.SUITES["ops"]._replace(cases=cases)
    monkeypatch.setitem(groups.SUITES, "ops", suite)
    rows = rows_of(messages_of(groups=("ops",), rows=2))
    assert [row["failed"] for row in rows.values()] == [
        "RESOURCE_EXHAUSTED: out of memory"
    ] * 2


def test_a_broken_device_ends_the_worker(monkeypatch):
    def exit(code):
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", exit)
    channel = io.StringIO()
    session = a_session(channel)
    session.check_device(KEY, "forward flax", ValueError("harmless"))
    monkeypatch.setattr("jaxnets.bench.device.session.device_computes", lambda: False)
    with pytest.raises(SystemExit, match="75"):
        session.check_device(KEY, "forward flax", ValueError("illegal\naddress"))
    assert json.loads(channel.getvalue()) == {
        "broken": [KEY, "forward flax", "broke the device: illegal address"]
    }


@pytest.mark.parametrize(
    ("factor", "passed", "error"),
    [(1.0, True, 0.0), (1.001, False, 1e-3), (np.nan, False, None)],
)
def test_a_check_finds_wrong_gradients(factor, passed, error):
    @jax.custom_vjp
    def wrong(x):
        return x**2

    wrong.defvjp(lambda x: (x**2, x), lambda x, g: (2 * x * g * factor,))
    x = np.arange(1.0, 4.0)
    job = CheckJob("square", wrong, lambda x: x**2, (x,))
    session = a_session(io.StringIO())
    job.prepare(session)
    session.wait()
    found = job.run(session)
    assert found["passed"] == passed
    if error is None:
        assert found["error"] is None
    else:
        assert found["error"] == pytest.approx(error, rel=1e-3, abs=1e-6)


def test_a_recurrence_passes_its_check():
    (job,) = (j for j in check_jobs() if j.key == "checks: gru split 37x40x48-128")
    session = a_session(io.StringIO())
    job.prepare(session)
    session.wait()
    found = job.run(session)
    assert found["passed"] and 0 < found["error"] < 1e-5


def test_all_loop_options_compute_the_same():
    _, case = recurrences.loop_option_cases(recurrence("rnn"))
    assert set(recurrences.LOOP_OPTIONS) < set(case.programs)
    ours = [p for who, p in case.programs.items() if "flax" not in who]
    results = jax.jit(lambda all: [p.function(*all) for p in ours])(ours[0].arguments)
    expected, *others = map(jax.tree.leaves, results)
    assert len(others) == 8
    for other in others:
        for a, b in zip(expected, other, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_the_rows_that_were_asked_for_are_there():
    options = DeviceOptions()
    names = ("batch", "time", "hidden")
    sizes = [
        tuple(row.spec[name] for name in names)
        for row in read_grid("device")
        if row.group == "recurrent" and row.spec["hidden"] == row.spec["in_features"]
    ]
    assert len(sizes) == len(set(sizes)) == 24
    assert set(sizes) == {
        (b, t, h) for b in (1, 32, 256) for t in (128, 512) for h in (64, 128, 256, 512)
    }
    keys = {g: [job.key for job in groups.jobs(g, options)] for g in SHARES}
    assert all(len(found) == len(set(found)) for found in keys.values())
    assert len(keys["recurrent"]) == 24 * 3 * 2
    assert "recurrent: gru 32x128x128-128 bfloat16" in keys["recurrent"][:6]
    assert keys["ops"][0] == "ops: max_pool 256x32x32x64 k2 s2"
    assert "ops: max_pool 256x32x32x64 k3 s2 bfloat16" in keys["ops"]
    few = DeviceOptions(only=("gru*1x*-512 bf", "rnn 1x128*-64"), rows=3)
    assert [job.key for job in groups.jobs("recurrent", few)] == [
        "recurrent: gru 1x128x512-512 bfloat16",
        "recurrent: gru 1x512x512-512 bfloat16",
        "recurrent: rnn 1x128x64-64",
    ]
    assert keys["training"][0] == "training: resnet 256x32x32x3 classes10 depth20"


def test_a_contrast_is_cut_to_the_time(monkeypatch, tmp_path):
    def contrast(config, path, *, console):
        folder = RunFolder(path)
        folder.create(config)
        arm = {"study": "time", "arm": "rnn-10", "family": "recurrent", "size": 10}
        ended = arm | {"status": "finished", "seconds": 1.5}
        pending = arm | {"arm": "rnn-20", "status": "pending"}
        folder.save([], {"arms": [ended, pending]})
        try:
            time.sleep(20)
        except KeyboardInterrupt:
            return RunResult(path, True, [])

    monkeypatch.setattr("jaxnets.bench.device.contrast_job.contrast", contrast)
    config = ContrastConfig(("time",), "smoke", (0,), "digits")
    found = run_for(0.05, config, tmp_path / "run")
    assert found["interrupted"] and found["arms"] == 2
    assert [(a["arm"], a["seconds"]) for a in found["ended"]] == [("rnn-10", 1.5)]
    row = {"key": "contrast: accelerator", "group": "contrast", "contrast": found}
    assert "1 of 2 arms of time in 0 s, then stopped" in tables.line_of(row)


def test_the_command_needs_no_plotting_library_and_resumes(tmp_path):
    # Modules that the machine with the accelerator does not have.
    for name in ("altair", "vl_convert", "beartype", "tyro"):
        text = f"raise ImportError('{name} is not there')"
        (tmp_path / f"{name}.py").write_text(text)
    out = tmp_path / "out.json"
    done = {"key": "checks: conv", "group": "checks", "failed": "was measured before"}
    write_record(out, DeviceRecord(rows={"checks: conv": done}))
    run = lambda *words: (
        subprocess.run(
            [sys.executable, "benchmarks/on_device.py", *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    arguments = "--sizes tiny --rows 1 --groups checks,ops --peers flax --rounds 1"
    first = run(*arguments.split(), "--minutes", "5", "--out", str(out))
    assert "s  ops: max_pool 2x9x9x64 k2 s2: forward " in first
    assert "s  checks: conv" not in first
    page = run("--tables", str(out))
    assert first.endswith(page)
    assert "| conv | - | - | not run: was measured before |" in page
    assert "| max_pool 2x9x9x64 k2 s2 | + gradients |" in page
    assert "device: cpu (cpu)" in page


def test_the_page_has_a_table_for_each_group(said):
    measured = rows_of(said)
    rows = dict(measured)
    rows["loop_options: a"] = {
        **measured[KEY],
        "key": "loop_options: a",
        "group": "loop_options",
    }
    flow = dataclasses.replace(
        DeviceRecord(rows=measured).measurements("recurrent")[0],
        direction="norms",
        seconds={"ours": [2.0], "plain": [1.0]},
    )
    rows["gradflow: a"] = {
        "key": "gradflow: a",
        "group": "gradflow",
        "measurements": [dataclasses.asdict(flow)],
    }
    ok = {"error": 1e-6, "tolerance": 1e-4, "passed": True}
    wrong = {"error": None, "tolerance": 1e-4, "passed": False}
    for name, found in (("conv", ok), ("pool", wrong)):
        rows[name] = {"key": f"checks: {name}", "group": "checks", **found}
    page = tables.page(DeviceRecord([{"device": "gpu (X1)"}], rows))
    assert "device: gpu (X1)." in page
    assert "| conv | 1.0e-06 | 0.0001 | yes |" in page
    assert "| pool | infinite or NaN | 0.0001 | NO |" in page
    assert "| lstm | float32 | + gradients |" in page
    assert "| lstm 2x5x4-6 | + gradients | in_place |" in page
    assert "| 2.00 s | 2.00 (2.00-2.00) |" in page
    assert "- scan: said nothing for 90 s" in page


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ([12.34], "12.3 s"),
        ([0.0999e-3, 0.1e-3], "100.0 µs"),
        ([0.00123], "1.23 ms"),
        ([4.567e-6], "4.57 µs"),
        ([], "-"),
    ],
)
def test_times_have_three_digits(seconds, text):
    assert tables.time_text(seconds) == text
