"""Tasks: what `jaxnets train` trains, and the run that nothing is lost of.

A task is one file with a `TASK`, and one row of `TASKS` in the catalogue
(`jaxnets.runs.catalogue`).
"""

from jaxnets.tasks.run import TrainConfig, run_task, task_of
from jaxnets.tasks.task import Prepared, Task


__all__ = ["Prepared", "Task", "TrainConfig", "run_task", "task_of"]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
