"""The progress of a run, as the terminal shows it."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jaxnets.studies.arm import Arm


class RunProgress:
    """A progress bar for the run, and one with figures for every arm that trains."""

    def __init__(self, console: Console, arms: int, done: int):
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            transient=True,
        )
        self._run = self._progress.add_task("all arms", total=arms, figures="")
        self._progress.advance(self._run, done)
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> "RunProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def begin(self, arm: Arm) -> None:
        """Show that `arm` is being compiled."""
        name = f"{arm.study}: {arm.name}"
        task = self._progress.add_task(name, total=None, figures="compiling")
        self._tasks[arm.name] = task

    def epoch(
        self, arm: Arm, number: int, epochs: int, loss: float, accuracy: float
    ) -> None:
        """Show the figures after an epoch. The rate does not include compiling."""
        now = time.perf_counter()
        started = self._started.setdefault(arm.name, now)
        rate = f"  {(number - 1) / (now - started):.2g} epochs/s" if number > 1 else ""
        self._progress.update(
            self._tasks[arm.name],
            completed=number,
            total=epochs,
            figures=f"loss {loss:.3g}  accuracy {accuracy:.1%}{rate}",
        )

    def end(self, arm: Arm, seconds: float, message: str) -> None:
        """Print how the arm ended."""
        end = f"[yellow]stopped[/]: {message}" if message else "finished"
        self._progress.console.print(
            f"  {arm.study + ': ' + arm.name:<28} {seconds:5.1f} s  {end}",
            highlight=False,
        )
        self._progress.remove_task(self._tasks.pop(arm.name))
        self._progress.advance(self._run)
