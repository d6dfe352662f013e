"""The process that keeps the record of a device, with workers that hang and break."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from jaxnets.bench.device.options import DeviceOptions
from jaxnets.bench.device.record import DeviceRecord, read_record, write_record
from jaxnets.bench.device.supervisor import supervise


# Each fake worker is a script that begins like this.
HEADER = """
import json, os, sys, time
task = json.loads(sys.stdin.readline())
done, broken, suspects = set(task["done"]), task["broken"], set(task["suspects"])
def say(**message):
    print(json.dumps(message), flush=True)
def row(key, **fields):
    if key not in done:
        say(row={"key": key, "group": key[:1], "failed": "for a test", **fields})
def begin(*running):
    say(begin=running, patience=task["options"]["silent_seconds"])
say(environment={"jax": "1.0", "date": str(time.time())})
"""


@pytest.fixture
def run(tmp_path):
    """Supervise a fake worker: its exit code and its record."""

    def run(script, minutes=0.5, silent_seconds=20.0):
        path = tmp_path / "worker.py"
        path.write_text(HEADER + script)
        out = tmp_path / "out.json"
        options = DeviceOptions(minutes=minutes, silent_seconds=silent_seconds)
        code = supervise(options, out, (sys.executable, str(path)))
        return code, read_record(out)

    return run


def test_a_contender_that_hangs_costs_only_itself(run, capsys):
    script = """
row("r: a")
begin(("r: b", "gradients pallas"))
if not broken:
    time.sleep(60)
row("r: b", failed=broken[0][2])
"""
    code, record = run(script, silent_seconds=0.5)
    assert code == 0
    # The row before is kept, and not measured again.
    assert list(record.rows) == ["r: a", "r: b"]
    reason = "said nothing for 0 s"
    assert record.broken == [["r: b", "gradients pallas", reason]]
    assert record.rows["r: b"]["failed"] == reason
    assert len(record.environment) == 1
    assert capsys.readouterr().out.count("r: a: for a test") == 1


def test_the_program_that_breaks_the_compiler_is_found(run):
    script = """
if not suspects:
    begin(("r: a", "*"), ("r: b", "*"))
    os.abort()
assert suspects == {"r: a", "r: b"}
row("r: a")
if not broken:
    begin(("r: b", "*"))
    begin(("r: b", "forward pallas"))
    os.abort()
row("r: b")
"""
    code, record = run(script)
    assert code == 0 and list(record.rows) == ["r: a", "r: b"]
    ((key, who, reason),) = record.broken
    assert (key, who) == ("r: b", "forward pallas")
    assert reason == f"the process ended with exit code {-signal.SIGABRT}"


def test_a_row_that_breaks_before_it_compiles_fails_as_a_whole(run):
    script = """
if "r: a" not in done:
    begin(("r: a", "*"))
    sys.exit(3)
row("r: b")
"""
    _, record = run(script)
    assert record.rows["r: a"]["failed"] == "the process ended with exit code 3"
    assert list(record.rows) == ["r: a", "r: b"]


def test_a_worker_that_broke_the_device_is_replaced(run):
    script = """
if not broken:
    begin(("r: a", "forward pallas"))
    say(broken=["r: a", "forward pallas", "broke the device: illegal address"])
    os._exit(75)
row("r: a")
print("what a library prints")
"""
    code, record = run(script)
    assert code == 0
    # Only the worker's own reason: the end of its process is not another one.
    assert [reason for _, _, reason in record.broken] == [
        "broke the device: illegal address"
    ]
    assert list(record.rows) == ["r: a"]


def test_a_worker_that_never_begins_is_given_up(run):
    code, record = run("raise SystemExit('no device')")
    assert code == 1 and not record.rows


def test_the_end_of_the_time_keeps_what_was_done(run, capsys):
    started = time.monotonic()
    code, record = run("row('r: a')\ntime.sleep(60)", minutes=1 / 30)
    assert time.monotonic() - started < 20
    assert code == 0 and list(record.rows) == ["r: a"] and not record.broken
    assert "the time is over" in capsys.readouterr().out


def test_sigterm_leaves_a_whole_record_and_no_process(tmp_path):
    worker, out = tmp_path / "worker.py", tmp_path / "out.json"
    worker.write_text(f"{HEADER}row('r: a', pid=os.getpid())\ntime.sleep(60)")
    program = f"""
import sys
from pathlib import Path
from jaxnets.bench.device.options import DeviceOptions
from jaxnets.bench.device.supervisor import supervise
worker = (sys.executable, {str(worker)!r})
code = supervise(DeviceOptions(), Path({str(out)!r}), worker)
assert "jax" not in sys.modules
sys.exit(code)
"""
    # Output to a pipe that nobody closes, as under `timeout` and `tee`.
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert "r: a" in process.stdout.readline()
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.communicate()
    row = read_record(out).rows["r: a"]
    with pytest.raises(ProcessLookupError):
        os.kill(row["pid"], 0)


def test_a_file_that_is_no_record_is_not_overwritten(tmp_path):
    out = tmp_path / "out.json"
    out.write_text(json.dumps({"suite": "ops"}))
    with pytest.raises(ValueError, match="is no record of benchmarks"):
        supervise(DeviceOptions(), out, ("false",))
    assert json.loads(out.read_text()) == {"suite": "ops"}


def test_another_environment_is_told_and_a_later_fact_is_added(tmp_path):
    record = DeviceRecord()
    for facts in (
        {"jax": "1", "load": 0.1},
        {"jax": "1", "load": 0.5, "torch": "2"},
        {"jax": "1", "load": 0.7},
        {"jax": "2", "load": 0.1},
    ):
        record.add_environment(facts)
    assert [facts["jax"] for facts in record.environment] == ["1", "2"]
    assert record.environment[0] == {"jax": "1", "load": 0.5, "torch": "2"}
    write_record(tmp_path / "out.json", record)
    assert read_record(tmp_path / "out.json") == record


def test_forgotten_rows_run_again():
    keys = ["ops: a", "recurrent: lstm 1", "recurrent: lstm 2"]
    rows = {key: {"key": key} for key in keys}
    broken = [["recurrent: lstm 1", "forward pallas", "hung"]]
    record = DeviceRecord(rows=rows, broken=broken, suspects=keys[:2])
    record.forget("lstm 1")
    assert list(record.rows) == [keys[0], keys[2]]
    assert not record.broken and record.suspects == ["ops: a"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"groups": ("ops", "opps")},
            "--groups has 'opps'; wanted some of checks, rec",
        ),
        ({"peers": ("jax",)}, "--peers has 'jax'; wanted some of flax, torch"),
        ({"sizes": "small"}, "--sizes has 'small'; wanted some of full, tiny"),
        ({"minutes": 0.0}, "--minutes is 0.0; wanted more than 0"),
    ],
)
def test_wrong_options_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        DeviceOptions(**wrong)
