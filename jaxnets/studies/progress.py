"""The progress of a run, as the terminal shows it."""

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from jaxnets.runs.files import printable
from jaxnets.studies.arm import Arm


# From this width of the terminal on there is a bar, and the time that has passed.
WIDE = 110
NAME_WIDTH = 24
# The time that is left is estimated from this many seconds; an arm can take an hour.
MEMORY_SECONDS = 1e6


class RunProgress:
    """A line for the run, and one with figures for every arm that trains.

    Each line has a name, how many arms or epochs are done and how long the others will
    take. Figures take what is left of the width, and no line wraps.
    """

    def __init__(self, console: Console, arms: int, done: int):
        self._progress = Progress(
            *_columns(console.width),
            console=console,
            transient=True,
            expand=True,
            speed_estimate_period=MEMORY_SECONDS,
        )
        self._arms = arms
        self._ended = done
        self._run = self._progress.add_task(
            "all arms", total=arms, count=f"{done}/{arms}", figures=""
        )
        self._progress.advance(self._run, done)
        self._tasks: dict[str, TaskID] = {}
        # The part of each arm that is done.
        self._parts: dict[str, float] = {}

    def __enter__(self) -> "RunProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    @property
    def renderable(self) -> RenderableType:
        """What the terminal shows now."""
        return self._progress.get_renderable()

    def begin(self, arm: Arm) -> None:
        """Show that `arm` is being compiled."""
        self._tasks[arm.name] = self._progress.add_task(
            _name(arm), total=None, count="", figures="compiling"
        )

    def epoch(
        self, arm: Arm, number: int, epochs: int, loss: float, accuracy: float
    ) -> None:
        """Show the figures after an epoch."""
        self._progress.update(
            self._tasks[arm.name],
            completed=number,
            total=epochs,
            count=f"{number}/{epochs}",
            figures=f"loss {loss:.3g}  accuracy {accuracy:.1%}",
        )
        self._advance(arm, number / epochs)

    def end(self, arm: Arm, seconds: float, message: str) -> None:
        """Print how the arm ended."""
        end = Text.assemble(("stopped", "yellow"), f": {printable(message)}")
        self._progress.console.print(
            f"  {_name(arm):<{NAME_WIDTH}} {seconds:6.1f} s ",
            end if message else "finished",
            highlight=False,
            markup=False,
        )
        self._progress.remove_task(self._tasks.pop(arm.name))
        self._advance(arm, 1.0)
        self._ended += 1
        self._progress.update(self._run, count=f"{self._ended}/{self._arms}")

    def _advance(self, arm: Arm, part: float) -> None:
        """Count the part of `arm` that is done to what is done of the run."""
        before = self._parts.get(arm.name, 0.0)
        self._parts[arm.name] = part
        self._progress.advance(self._run, part - before)


class _TimeLeft(TimeRemainingColumn):
    """How long the rest of a task will take."""

    def render(self, task: Task) -> Text:
        time = super().render(task)
        return time.append(" left") if time else time


def _columns(width: int) -> list[ProgressColumn]:
    """Return the columns for a width in characters; the last column shrinks."""
    # Count and time left take up to 26 characters.
    name = max(8, min(NAME_WIDTH, width - 26))
    whole = lambda **options: Column(no_wrap=True, **options)
    text = lambda format, column: TextColumn(format, markup=False, table_column=column)
    wide = [BarColumn(20, table_column=whole()), TimeElapsedColumn(whole())]
    return [
        text("{task.description}", whole(width=name, overflow="ellipsis")),
        *(wide if width >= WIDE else []),
        text("{task.fields[count]}", whole(justify="right")),
        _TimeLeft(compact=True, table_column=whole()),
        text("{task.fields[figures]}", whole(ratio=1, overflow="ellipsis")),
    ]


def _name(arm: Arm) -> str:
    return printable(f"{arm.study}: {arm.name}")
