"""A run: every arm of the chosen studies, with its results saved when it ends."""

import contextlib
import datetime
import importlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
from rich.console import Console

from jaxnets import gradflow
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.folder import ContrastConfig, RunFolder
from jaxnets.studies import datasets
from jaxnets.studies.arm import Arm, Outcome
from jaxnets.studies.machine import environment
from jaxnets.studies.progress import RunProgress
from jaxnets.studies.theory.verdicts import claim_verdicts


# The largest number of arms that run at a time on CPUs.
SIDE_BY_SIDE = 4


def study_module(name: str) -> ModuleType:
    """Return `jaxnets.studies.NAME`, the module of a study.

    It has two functions, `arms(scale, dataset) -> list[Arm]` and
    `run(arm, seeds, on_epoch) -> Outcome`, and two texts for the report: `INITIALISER`,
    how its networks are initialised, and `NOTES`, further paragraphs.
    """
    return importlib.import_module(f"jaxnets.studies.{name}")


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
    if any(STUDIES[name].images for name in config.studies):
        # Loaded before anything is written, so that missing files leave no empty run.
        datasets.load(config.dataset)
    if not resume:
        folder.create(config)
    run = _Run(config, folder, command)
    console = console or Console(stderr=True)
    try:
        with (
            _compiler_options_of(config.scale),
            RunProgress(console, len(run.arms), run.ended) as progress,
        ):
            _run_arms(run, progress)
        run.save()
    except KeyboardInterrupt:
        run.save()
        return RunResult(path, True, run.verdicts())
    return RunResult(path, False, run.verdicts())


@contextlib.contextmanager
def _compiler_options_of(scale: str) -> Iterator[None]:
    """Compile with few optimisations at smoke scale, where compiling takes longest."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, before or scale == "smoke")
    try:
        yield
    finally:
        jax.config.update(name, before)


def _run_arms(run: "_Run", progress: RunProgress) -> None:
    """Run the remaining arms, and save the outcome of each when it ends.

    A network of this size keeps one CPU core busy. So on CPUs as many arms run at a
    time as there are cores, and on an accelerator one. The outcome of an arm does not
    depend on the others.
    """
    stop = threading.Event()

    def run_arm(arm: Arm) -> tuple[Arm, Outcome, float]:
        def on_epoch(*figures) -> None:
            if stop.is_set():
                raise _Stopped
            progress.epoch(arm, *figures)

        if stop.is_set():
            raise _Stopped
        progress.begin(arm)
        started = time.perf_counter()
        outcome = study_module(arm.study).run(arm, run.config.seeds, on_epoch)
        return arm, outcome, time.perf_counter() - started

    cores = os.cpu_count() or 1
    workers = min(cores, SIDE_BY_SIDE) if jax.default_backend() == "cpu" else 1
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done in as_completed(
                [pool.submit(run_arm, a) for a in run.remaining()]
            ):
                arm, outcome, seconds = done.result()
                run.add(arm, outcome, seconds)
                progress.end(arm, seconds, outcome.message)
        finally:
            # After Ctrl-C or an error, arms end at their next epoch or do not begin.
            stop.set()


class _Stopped(Exception):
    """Raised inside an arm to end it when the run has been interrupted."""


class _Run:
    """The state of a run between two arms."""

    def __init__(self, config: ContrastConfig, folder: RunFolder, command: str):
        self.config = config
        self.folder = folder
        self.arms = [
            arm
            for name in config.studies
            for arm in study_module(name).arms(config.scale, config.dataset)
        ]
        before = folder.summary()
        self.states = {row["arm"]: row for row in before.get("arms", [])}
        # Records are written before the summary. If the run was killed in between,
        # there are records of an arm that will run again.
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

    def add(self, arm: Arm, outcome: Outcome, seconds: float) -> None:
        """Add the outcome of an arm, and save."""
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
        """Write records and summary in the order of the arms, whichever ended first."""
        order = {arm.name: index for index, arm in enumerate(self.arms)}
        self.records.sort(key=lambda record: order[record.arm])
        self.folder.save(self.records, self._summary())

    def _summary(self) -> dict[str, Any]:
        states = [self.states.get(a.name, _row(a, "pending")) for a in self.arms]
        studies = {name: study_module(name) for name in self.config.studies}
        return {
            "verdicts": [verdict._asdict() for verdict in self.verdicts()],
            "claims": [verdict._asdict() for verdict in claim_verdicts(self.records)],
            "arms": states,
            "environment": environment(),
            "command": self.command,
            "started": self.started,
            "seconds": self.seconds_before + time.perf_counter() - self.began,
            "notes": {name: study.NOTES for name, study in studies.items()},
            "initialisers": {
                name: study.INITIALISER for name, study in studies.items()
            },
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
