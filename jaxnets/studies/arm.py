"""Arms: an arm is one configuration of a study, which is run for all seeds."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnets.runs.records import Record


class Arm(NamedTuple):
    """One configuration of a study.

    Attributes:
        study: Name of the study.
        name: Unique name of the arm, such as `plain-20`.
        family: What the study contrasts, as legends show it, such as `residual`.
        size: The other axis of the study: depth, sequence length, gain or dropout rate.
        settings: What the study needs to build and train the networks.

    Example:
        >>> from jaxnets.studies import time
        >>> [arm.name for arm in time.arms("smoke", "digits")]
        ['rnn-12', 'gru-12', 'lstm-12']
    """

    study: str
    name: str
    family: str
    size: float
    settings: dict[str, Any]


class Outcome(NamedTuple):
    """The result of running an arm.

    Attributes:
        records: All records of the arm.
        parameters: Number of parameters of one network.
        compile_seconds: Seconds that compiling took.
        message: The reason if the arm stopped early, otherwise empty.

    Example:
        >>> from jaxnets.studies import Outcome
        >>> Outcome(records=[], parameters=97, compile_seconds=1.2).message
        ''
    """

    records: list[Record]
    parameters: int
    compile_seconds: float
    message: str = ""


# `recorded_steps` returns at most this many log-spaced steps and ends of epochs each.
HALF_OF_THE_STEPS = 8

# Called after each epoch with its number, the number of epochs, and the loss and the
# accuracy on the validation data, as means over seeds.
OnEpoch = Callable[[int, int, float, float], None]


class Recorder:
    """Turns arrays with a leading axis of seeds into the records of one arm."""

    def __init__(self, arm: Arm, seeds: Iterable[int]):
        self._arm = arm
        self._seeds = tuple(seeds)
        self.records: list[Record] = []

    def scalar(
        self, metric: str, values, *, step: int, place: str = "", where=None
    ) -> None:
        """Record one number for each seed: `values (seeds,)`.

        `where (seeds,)` says which seeds have the number; None means all. Without it a
        NaN would be recorded, which is a fault of the arm.
        """
        values = np.asarray(values, np.float64)
        chosen = np.ones(len(values), bool) if where is None else where
        for seed, value, has in zip(self._seeds, values, chosen, strict=True):
            if has:
                self._add(seed, step, metric, place, None, value)

    def profile(
        self,
        metric: str,
        values,
        *,
        step: int,
        places: Sequence[str],
        positions: Sequence[int] | None = None,
    ) -> None:
        """Record a number for each seed and position: `values (seeds, positions)`.

        Only the given `positions` are recorded; None records all.
        """
        values = np.asarray(values, np.float64)
        recorded = range(len(places)) if positions is None else positions
        for seed, row in zip(self._seeds, values, strict=True):
            for position in recorded:
                place, value = places[position], row[position]
                self._add(seed, step, metric, place, position, value)

    def prediction(self, metric: str, values, *, places: Iterable[str]) -> None:
        """Record a line that theory predicts before training; it has no seed."""
        for position, (place, value) in enumerate(zip(places, values, strict=True)):
            self._add(-1, 0, metric, place, position, float(value))

    def curve(self, metric: str, values, *, steps: Iterable[int]) -> None:
        """Record a number for each seed and step: `values (seeds, steps)`."""
        for step, column in zip(steps, np.asarray(values).T, strict=True):
            self.scalar(metric, column, step=step)

    def _add(self, seed, step, metric, place, position, value) -> None:
        study, name, family, size, _ = self._arm
        where = (study, name, family, float(size), seed, step, metric)
        self.records.append(Record(*where, place, position, float(value)))


def log10(values) -> np.ndarray:
    """Return the logarithm to base 10; at zero minus infinity, without a warning."""
    with np.errstate(divide="ignore"):
        return np.log10(np.asarray(values, np.float64))


def epoch_ends(steps: int, steps_per_epoch: int) -> Iterator[int]:
    """Yield the number of updates after each epoch."""
    yield from range(steps_per_epoch, steps + 1, steps_per_epoch)


def recorded_steps(steps: int, steps_per_epoch: int) -> list[int]:
    """Return the steps, at most 16, at which the profile of the gradient is recorded.

    These are the first and the last step; log-spaced steps, because the profile changes
    fastest at the start; and the last step of each epoch or, if there are many epochs,
    of every second, third, ... of them.

    Args:
        steps: Number of steps of the whole training.
        steps_per_epoch: Number of steps in an epoch.

    Returns:
        Numbers of steps, counted from 0, in increasing order.

    Example:
        >>> recorded_steps(80, 16)
        [0, 1, 2, 4, 9, 15, 18, 31, 38, 47, 63, 79]
    """
    last = steps - 1
    spaced = np.geomspace(1, max(last, 1), HALF_OF_THE_STEPS - 1)
    ends = [end - 1 for end in epoch_ends(steps, steps_per_epoch)]
    # Taken from the last end backwards, so that the last one is included.
    some = ends[:: -math.ceil(len(ends) / HALF_OF_THE_STEPS)]
    recorded = {0, last, *(round(step) for step in spaced), *some}
    return sorted(step for step in recorded if step <= last)
