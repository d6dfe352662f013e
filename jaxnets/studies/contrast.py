"""A run: every arm of the chosen studies, one after the other, kept as it goes."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from jaxnets import gradflow
from jaxnets.studies import depth, overfitting, saturation
from jaxnets.studies import time as time_study
from jaxnets.studies.arm import Arm
from jaxnets.studies.environment import environment
from jaxnets.studies.folder import ContrastConfig, RunFolder
from jaxnets.studies.overhead import measuring_overhead
from jaxnets.studies.progress import RunProgress


STUDIES = {
    "depth": depth,
    "time": time_study,
    "saturation": saturation,
    "overfitting": overfitting,
}


class RunResult(NamedTuple):
    """How a run ended.

    Attributes:
        path: Its folder.
        interrupted: Whether Ctrl-C ended it.
        verdicts: What its records say so far.
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
        FileNotFoundError: If there is no run to resume.
    """
    folder = RunFolder(path)
    if not resume:
        folder.create(config)
    run = _Run(config, folder, command)
    try:
        with RunProgress(
            console or Console(stderr=True), len(run.arms), run.ended
        ) as progress:
            for arm in run.remaining():
                progress.begin(arm)
                seconds, message = run.take(arm, progress.epoch)
                progress.end(arm, seconds, message)
        run.finish()
    except KeyboardInterrupt:
        run.save()
        return RunResult(path, True, run.verdicts())
    return RunResult(path, False, run.verdicts())


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
        self.records = folder.records()
        self.states = {row["arm"]: row for row in before.get("arms", [])}
        self.seconds = before.get("seconds", 0.0)
        self.started = before.get("started", _now())
        self.command = before.get("command", command)
        self.overhead = before.get("overhead", [])

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

    def take(self, arm: Arm, on_epoch: Callable) -> tuple[float, str]:
        """Run one arm and save; return its seconds and why it stopped, if it did."""
        started = time.perf_counter()
        outcome = STUDIES[arm.study].run(arm, self.config.seeds, on_epoch)
        seconds = time.perf_counter() - started
        self.records += outcome.records
        self.states[arm.name] = {
            **_row(arm, "stopped" if outcome.message else "finished"),
            "message": outcome.message,
            "seconds": seconds,
            "compile_seconds": outcome.compile_seconds,
            "parameters": outcome.parameters,
        }
        self.seconds += seconds
        self.save()
        return seconds, outcome.message

    def finish(self) -> None:
        """Measure what measuring costs, and save."""
        if not self.overhead:
            started = time.perf_counter()
            self.overhead = measuring_overhead(self.config.scale)
            self.seconds += time.perf_counter() - started
        self.save()

    def verdicts(self) -> list[gradflow.Verdict]:
        """Judge what was measured so far."""
        return gradflow.verdicts(self.records)

    def save(self) -> None:
        """Write records and summary."""
        self.folder.save(self.records, self._summary())

    def _summary(self) -> dict[str, Any]:
        states = [self.states.get(a.name, _row(a, "pending")) for a in self.arms]
        return {
            "verdicts": [verdict._asdict() for verdict in self.verdicts()],
            "arms": states,
            "environment": environment(),
            "command": self.command,
            "started": self.started,
            "seconds": self.seconds,
            "overhead": self.overhead,
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
