"""The reports of a monitor: its records and alarms, and what they are handed to."""

import warnings
from collections.abc import Sequence

from jaxnets.gradflow.diagnosis.verdict import Verdict
from jaxnets.gradflow.monitoring.alarms import Alarms
from jaxnets.gradflow.monitoring.numbers import Numbers, as_records
from jaxnets.gradflow.monitoring.sinks import MonitorReport, Sink
from jaxnets.runs.records import Record


class Reports:
    """All reports so far.

    A time loop has thousands of records, and making them takes as long as a short step.
    Without sinks they are made only when `records` is read.

    Args:
        name: Name of the network in records and alarms.
        seed: Seed of the network in the records.
        sinks: Functions of a `MonitorReport`.

    Attributes:
        alarms: The alarms so far.
    """

    def __init__(self, name: str, seed: int, sinks: Sequence[Sink]):
        self._name, self._seed, self._sinks = name, seed, sinks
        self._alarm = Alarms(name)
        self.alarms: list[Verdict] = []
        self._records: list[Record] = []
        # Numbers of which no records are made yet, and their steps.
        self._waiting: list[tuple[Numbers, int]] = []

    @property
    def records(self) -> list[Record]:
        """The records so far."""
        for numbers, step in self._waiting:
            self._records += as_records(numbers, self._name, self._seed, step)
        self._waiting.clear()
        return self._records

    def add(self, numbers: Numbers, step: int) -> None:
        """Report a step: to all sinks, and each alarm as a warning."""
        alarms = self._alarm.of(numbers, step)
        self.alarms += alarms
        if self._sinks:
            records = as_records(numbers, self._name, self._seed, step)
            self._records += records
            for sink in self._sinks:
                sink(MonitorReport(step, records, alarms))
        else:
            self._waiting.append((numbers, step))
        for alarm in alarms:
            warnings.warn(
                f"{alarm.where}: {alarm.sentence}", RuntimeWarning, stacklevel=2
            )
