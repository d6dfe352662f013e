"""The process that keeps the results and replaces a worker that hangs or breaks.

The worker gets a task, one line of JSON, and answers with messages, one a line:

- `{"environment": facts}`: versions and machine;
- `{"begin": [[key, contender], ...], "patience": seconds}`: what runs or compiles from
  now on, and after how many seconds without a message the worker counts as hanging;
- `{"row": row}`: a row that is done;
- `{"broken": [key, contender, reason]}`: a contender that broke the device, before the
  worker ends to be replaced;
- `{"suspects": keys}`: one of these rows broke the device; the worker ends likewise.

It imports no JAX, so that it does not occupy the device.
"""

import contextlib
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxnets.bench.device.options import DeviceOptions
from jaxnets.bench.device.record import DeviceRecord, read_record, write_record
from jaxnets.bench.device.tables import line_of
from jaxnets.runs.files import printable


WORKER = (sys.executable, "-u", "-m", "jaxnets.bench.device.worker")
# The seconds within which a worker must send its first message.
STARTING = 120.0
# After so many workers in turn that ended before they began anything, no other starts.
FALSE_STARTS = 2
# The exit code of a worker that has said what broke and must be replaced.
REPLACE = 75
# The exit code of a program that a signal ended is this plus the signal's number.
SIGNALLED = 128


class _Stopped(Exception):
    """A signal asked the process to stop; the argument is the signal's number."""


def supervise(
    options: DeviceOptions, path: Path, worker: Sequence[str] = WORKER
) -> int:
    """Measure until everything is done or the time is over, and keep the record.

    Rows that the file holds already are not measured again. Whatever happens, the file
    holds all rows that were done.

    Args:
        options: What to measure, and for how long.
        path: The file of the record.
        worker: The command of the worker.

    Returns:
        The exit code: 0; 128 and the number of the signal that stopped it; or 1 if no
        worker could start.

    Raises:
        ValueError: If the file holds something other than a record.
        OSError: If the file cannot be written.
    """
    record = read_record(path)
    write_record(path, record)
    run = _Run(options, path, record, worker)
    try:
        with _signals():
            return run.to_the_end()
    except _Stopped as stopped:
        _say(f"stopped by signal {stopped.args[0]}")
        return SIGNALLED + stopped.args[0]


class _Run:
    """One start of the command: its record, and its workers one after the other."""

    def __init__(
        self,
        options: DeviceOptions,
        path: Path,
        record: DeviceRecord,
        worker: Sequence[str],
    ):
        self.options, self.path, self.record = options, path, record
        self.command = worker
        self.started = time.time()
        self.end = self.started + 60 * options.minutes
        self.running: list[list[str]] = []
        self.reason = ""

    def to_the_end(self) -> int:
        """Run workers until one of them has done everything, or the time is over."""
        false_starts = 0
        while time.time() < self.end and false_starts < FALSE_STARTS:
            before = len(self.record.rows)
            self.running = []
            if self._follow():
                return 0
            progress = self.running or len(self.record.rows) > before
            false_starts = 0 if progress else false_starts + 1
            self._blame_and_write()
        return 1 if false_starts else 0

    def _follow(self) -> bool:
        """Run one worker to its end; return whether no other is needed."""
        with _Worker(self.command, self._task()) as worker:
            patience = STARTING
            while True:
                left = self.end - time.time()
                line = worker.line(max(0.0, min(patience, left)))
                if line is None and self.end - time.time() <= 0:
                    _say("the time is over")
                    self.running = []
                    return True
                if line is None:
                    self.reason = f"said nothing for {patience:.0f} s"
                    return False
                if line == "":
                    self.reason = f"the process ended with exit code {worker.code()}"
                    return worker.code() == 0
                message = _message(line)
                patience = message.get("patience", patience)
                self._take(message)

    def _task(self) -> dict[str, Any]:
        return {
            "options": dataclasses.asdict(self.options),
            "started": self.started,
            "end": self.end,
            "done": list(self.record.rows),
            "broken": self.record.broken,
            "suspects": self.record.suspects,
        }

    def _take(self, message: dict[str, Any]) -> None:
        """Add what a worker says to the record, and write it."""
        record = self.record
        if "begin" in message:
            self.running = message["begin"]
            return
        if "environment" in message:
            record.add_environment(message["environment"])
        row = message.get("row")
        if row:
            record.rows[row["key"]] = row
        if "broken" in message:
            self._break(*message["broken"])
            self.running = []
        if "suspects" in message:
            self._suspect(message["suspects"], "one of them broke the device")
            self.running = []
        write_record(self.path, record)
        if row:
            _say(f"{time.time() - self.started:4.0f} s  {line_of(row)}")

    def _blame_and_write(self) -> None:
        """Write down what ran when a worker hung or broke."""
        if len(self.running) == 1:
            ((key, who),) = self.running
            self._break(key, who, self.reason)
        elif self.running:
            self._suspect([key for key, _ in self.running], self.reason)
        write_record(self.path, self.record)

    def _break(self, key: str, who: str, reason: str) -> None:
        if who != "*":
            _say(f"        {key}, {who}: {reason}; left out")
            self.record.broken.append([key, who, reason])
        elif key in self.record.suspects:
            _say(f"        {key}: {reason}; left out")
            group = key.partition(":")[0]
            self.record.rows[key] = {"key": key, "group": group, "failed": reason}
        else:
            self._suspect([key], reason)

    def _suspect(self, keys: Sequence[str], reason: str) -> None:
        """Compile these rows one by one from now on, each program by itself."""
        _say(f"        {reason}; one by one: {'; '.join(keys)}")
        old = self.record.suspects
        old += [key for key in keys if key not in old]


class _Worker:
    """A process that measures, and all that it starts."""

    def __init__(self, command: Sequence[str], task: dict[str, Any]):
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            # A group of its own, so that it can be ended with all that it started.
            process_group=0,
            # Without the warnings of compilers, which would hide the rows.
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def line(self, seconds: float) -> str | None:
        """Return the next line, "" at the end; None if there is none in this time."""
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def code(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        return self._process.wait()

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *raised: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        # A process inside a driver that hangs may not end at all.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10.0)
        self._reader.join(5.0)


def _message(line: str) -> dict[str, Any]:
    """Return the message in a line; show a line that a library has printed."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    _say(f"        {line.rstrip()}")
    return {}


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Raise `_Stopped` in the block if a signal asks to stop."""

    def stop(number, frame):
        raise _Stopped(number)

    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in names}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(printable(text)[:160], flush=True)
