"""What the terminal shows while a run goes on."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jaxnets.studies.arm import Arm


class RunProgress:
    """A bar for the run, and one for the arm that trains, with its figures."""

    def __init__(self, console: Console, arms: int, done: int):
        self._progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._run = self._progress.add_task("all arms", total=arms, figures="")
        self._progress.advance(self._run, done)
        self._arm = self._progress.add_task("", total=None, figures="", visible=False)

    def __enter__(self) -> "RunProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def begin(self, arm: Arm) -> None:
        """Show that `arm` is being compiled."""
        self._progress.reset(
            self._arm,
            description=f"{arm.study}: {arm.name}",
            total=None,
            figures="compiling",
            visible=True,
        )

    def epoch(self, number: int, epochs: int, loss: float, accuracy: float) -> None:
        """Show the figures after an epoch."""
        task = self._progress.tasks[self._arm]
        rate = number / task.elapsed if task.elapsed else 0.0
        figures = f"loss {loss:.3g}  accuracy {accuracy:.1%}  {rate:.2g} epochs/s"
        self._progress.update(
            self._arm, completed=number, total=epochs, figures=figures
        )

    def end(self, arm: Arm, seconds: float, message: str) -> None:
        """Print how the arm ended."""
        end = f"[yellow]stopped[/]: {message}" if message else "finished"
        self._progress.console.print(
            f"  {arm.study + ': ' + arm.name:<28} {seconds:5.1f} s  {end}",
            highlight=False,
        )
        self._progress.advance(self._run)
