"""Tasks: what `jaxnets train` trains, and the run that nothing is lost of.

A task is one file with a `TASK`, and one row of `TASKS` in the catalogue
(`jaxnets.runs.catalogue`).
"""

from jaxnets.tasks.run import TrainConfig, run_task, task_of
from jaxnets.tasks.sampling import sample_run
from jaxnets.tasks.task import Outcome, Prepared, SampleOptions, Sampler, Task


__all__ = [
    "Outcome",
    "Prepared",
    "SampleOptions",
    "Sampler",
    "Task",
    "TrainConfig",
    "run_task",
    "sample_run",
    "task_of",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
