"""The sizes of the study of time."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from jaxnets.studies.time.families import FAMILIES, MATCHED
from jaxnets.studies.time.tasks import TASKS


class Row(NamedTuple):
    """What every family of networks learns.

    Attributes:
        task: Name of the task.
        length: Number of time steps of its sequences.
        epochs: Number of epochs; each ends with an evaluation. With 0 the gradient is
            measured before training, and the networks are updated only once.
    """

    task: str
    length: int
    epochs: int = 0


@dataclasses.dataclass(frozen=True)
class TimeSettings:
    """The size of the study.

    Attributes:
        rows: The tasks and their lengths.
        hidden: Number of units of the recurrent layer.
        steps: Number of updates in an epoch.
        batch_size: Number of sequences in a batch; each batch is drawn anew.
        learning_rate: Learning rate of Adam, after the norm of the gradient is clipped
            to 1.
        families: Kinds of networks.
    """

    rows: Sequence[Row]
    hidden: int
    steps: int
    batch_size: int
    learning_rate: float
    families: Sequence[str] = MATCHED


SCALES = {
    "smoke": TimeSettings((Row("adding", 12, 2),), 8, 4, 8, 3e-3),
    "laptop": TimeSettings(
        (Row("adding", 30, 5), Row("adding", 100, 5)), 32, 100, 32, 1e-2
    ),
    "hour": TimeSettings(
        (
            Row("copying", 1_000, 8),
            Row("digits", 1_000, 8),
            *(Row(task, 10_000) for task in TASKS),
            # The last row takes longest, so a run that is stopped has the others.
            Row("adding", 1_000, 15),
        ),
        64,
        100,
        32,
        3e-3,
        tuple(FAMILIES),
    ),
    "accelerator": TimeSettings(
        (
            Row("adding", 100, 100),
            Row("adding", 300, 100),
            *(Row(task, 1_000, 100) for task in TASKS),
            *(Row(task, 10_000, 10) for task in TASKS),
        ),
        128,
        100,
        128,
        3e-3,
        tuple(FAMILIES),
    ),
}
