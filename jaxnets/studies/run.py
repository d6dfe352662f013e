"""A run: every arm of the chosen studies, one after the other, kept as it goes."""

import contextlib
import datetime
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from jaxnets import gradflow
from jaxnets.runs.folder import ContrastConfig, RunFolder
from jaxnets.studies import datasets, depth, overfitting, saturation
from jaxnets.studies.arm import Arm, Outcome
from jaxnets.studies.machine import environment
from jaxnets.studies.progress import RunProgress
from jaxnets.studies.theory import study as theory
from jaxnets.studies.theory.verdicts import claim_verdicts
from jaxnets.studies.time import study as time_study


STUDIES = {
    "depth": depth,
    "time": time_study,
    "saturation": saturation,
    "overfitting": overfitting,
    "theory": theory,
}
# Those that need no images.
WITHOUT_IMAGES = {"time", "theory"}
# More threads than this compile faster than anybody's cores can follow.
SIDE_BY_SIDE = 4


class RunResult(NamedTuple):
    """How a run ended.

    Attributes:
        path: Its folder.
        interrupted: Whether Ctrl-C ended it.
        verdicts: What its records say so far.

    Example:
        >>> from pathlib import Path
        >>> from jaxnets.studies import RunResult
        >>> RunResult(Path("runs/first"), interrupted=True, verdicts=[]).path.name
        'first'
    """

    path: Path
    interrupted: bool
    verdicts: list[gradflow.Verdict]


def contrast(
    config: ContrastConfig,
    path: Path,
    *,
    resume: bool = False,
    command: str = "",
    console: Console | None = None,
) -> RunResult:
    """Run the studies of `config` into the folder `path`.

    Records and summary are written after every arm, so that an interrupted run can be
    read and, with `resume`, finished: arms that have ended are not run again.

    Args:
        config: What to run.
        path: Folder of the run.
        resume: Whether the folder holds a run to be finished.
        command: The command that asked for it, for the report.
        console: Where progress is shown; None is the terminal's error stream.

    Returns:
        The `RunResult`.

    Raises:
        FileExistsError: If the folder holds a run and `resume` is not asked for.
        FileNotFoundError: If the files of the data set are not there.

    Example:
        Some seconds of work, so this one is not run as a test:

            config = ContrastConfig(("time",), "smoke", (0, 1, 2), "digits")
            result = contrast(config, Path("runs/first"))
            records = read_records(result.path / "records.csv")
    """
    folder = RunFolder(path)
    if not set(config.studies) <= WITHOUT_IMAGES:
        # Read before anything is written, so that missing files leave no empty run.
        datasets.load(config.dataset)
    if not resume:
        folder.create(config)
    run = _Run(config, folder, command)
    console = console or Console(stderr=True)
    try:
        with (
            _compiler_of(config.scale),
            RunProgress(console, len(run.arms), run.ended) as progress,
        ):
            _take_all(run, progress)
        run.save()
    except KeyboardInterrupt:
        run.save()
        return RunResult(path, True, run.verdicts())
    return RunResult(path, False, run.verdicts())


@contextlib.contextmanager
def _compiler_of(scale: str) -> Iterator[None]:
    """Compile less thoroughly at smoke scale, where programs hardly run."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, before or scale == "smoke")
    try:
        yield
    finally:
        jax.config.update(name, before)


def _take_all(run: "_Run", progress: RunProgress) -> None:
    """Run the remaining arms, and keep each one's outcome as it ends.

    A network of this size keeps one CPU core busy, so on CPUs as many arms run side by
    side as there are cores; an accelerator takes one at a time. The outcome of an arm
    does not depend on the others.
    """
    stop = threading.Event()

    def take(arm: Arm) -> tuple[Arm, Outcome, float]:
        def on_epoch(*figures) -> None:
            if stop.is_set():
                raise _Stopped
            progress.epoch(arm, *figures)

        if stop.is_set():
            raise _Stopped
        progress.begin(arm)
        started = time.perf_counter()
        outcome = STUDIES[arm.study].run(arm, run.config.seeds, on_epoch)
        return arm, outcome, time.perf_counter() - started

    cores = os.cpu_count() or 1
    workers = min(cores, SIDE_BY_SIDE) if jax.default_backend() == "cpu" else 1
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done in as_completed([pool.submit(take, a) for a in run.remaining()]):
                arm, outcome, seconds = done.result()
                run.keep(arm, outcome, seconds)
                progress.end(arm, seconds, outcome.message)
        finally:
            # After Ctrl-C or an error: arms end at their next epoch, or do not begin.
            stop.set()


class _Stopped(Exception):
    """Ends an arm from inside, when the run has been interrupted."""


class _Run:
    """The state of a run between two arms."""

    def __init__(self, config: ContrastConfig, folder: RunFolder, command: str):
        self.config = config
        self.folder = folder
        self.arms = [
            arm
            for name in config.studies
            for arm in STUDIES[name].arms(config.scale, config.dataset)
        ]
        before = folder.summary()
        self.states = {row["arm"]: row for row in before.get("arms", [])}
        # Records are written before the summary: a run that was killed in between has
        # those of an arm that will run again.
        again = {arm.name for arm in self.remaining()}
        self.records = [r for r in folder.records() if r.arm not in again]
        self.seconds_before = before.get("seconds", 0.0)
        self.began = time.perf_counter()
        self.started = before.get("started", _now())
        self.command = before.get("command", command)

    @property
    def ended(self) -> int:
        """How many arms have ended."""
        return len(self.arms) - len(self.remaining())

    def remaining(self) -> list[Arm]:
        """Return the arms that have not ended."""
        ended = {
            name for name, row in self.states.items() if row["status"] != "pending"
        }
        return [arm for arm in self.arms if arm.name not in ended]

    def keep(self, arm: Arm, outcome: Outcome, seconds: float) -> None:
        """Keep what an arm gave, and save."""
        self.records += outcome.records
        self.states[arm.name] = {
            **_row(arm, "stopped" if outcome.message else "finished"),
            "message": outcome.message,
            "seconds": seconds,
            "compile_seconds": outcome.compile_seconds,
            "parameters": outcome.parameters,
        }
        self.save()

    def verdicts(self) -> list[gradflow.Verdict]:
        """Judge what was measured so far."""
        return gradflow.verdicts(self.records)

    def save(self) -> None:
        """Write records and summary, in the order of the arms, not of their ends."""
        order = {arm.name: place for place, arm in enumerate(self.arms)}
        self.records.sort(key=lambda record: order[record.arm])
        self.folder.save(self.records, self._summary())

    def _summary(self) -> dict[str, Any]:
        states = [self.states.get(a.name, _row(a, "pending")) for a in self.arms]
        return {
            "verdicts": [verdict._asdict() for verdict in self.verdicts()],
            "claims": [verdict._asdict() for verdict in claim_verdicts(self.records)],
            "arms": states,
            "environment": environment(),
            "command": self.command,
            "started": self.started,
            "seconds": self.seconds_before + time.perf_counter() - self.began,
            "notes": {n: STUDIES[n].NOTES for n in self.config.studies},
            "initialisers": {n: STUDIES[n].INITIALISER for n in self.config.studies},
        }


def _row(arm: Arm, status: str) -> dict[str, Any]:
    study, name, family, size, _ = arm
    return {
        "study": study,
        "arm": name,
        "family": family,
        "size": size,
        "status": status,
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
