"""The progress of a training run, on the error stream."""


class Display:
    """Shows the progress of a training run on the error stream.

    Args:
        steps: Number of updates.
        shows: Whether to show it. Of several processes only the first does.

    Attributes:
        updated: Whether an update was made.
    """

    def __init__(self, steps: int, shows: bool):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.updated = False
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.completed}/{task.total}"),
            BarColumn(bar_width=None),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not shows,
        )
        self._task = self._progress.add_task("compiling", total=steps)

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, highlight=False, markup=False)

    def show(self, step: int, figures) -> None:
        """Move the bar, and show the figures of the last update beside it."""
        self.updated = True
        text = ", ".join(f"{n} {v:.3g}" for n, v in figures.items() if n != "step")
        self._progress.update(self._task, completed=step, description=text)
