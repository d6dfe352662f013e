"""The record of what was measured on a device, which is written after every row."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from jaxnets.bench.measurement import Measurement
from jaxnets.runs.files import read_json, write_text


# Two starts with the same record may differ in these.
PASSING = ("date", "load")


@dataclasses.dataclass
class DeviceRecord:
    """What was measured on a device.

    A row is a dict with `key` and `group`, and one of

    - `measurements`: a list of `Measurement`s as dicts;
    - `error`, `tolerance` and `passed`, of a check;
    - `contrast`: how a run of the contrasts went;
    - `failed`: the reason why there is nothing else.

    Attributes:
        environment: The versions and the machine of each start that differs from the
            one before it in more than the date and the load.
        rows: The rows by their keys, in the order in which they ended.
        broken: The contenders that hung or broke the process, as `[key, contender,
            reason]`. They do not run again.
        suspects: Keys of the rows that were compiled together when the process broke.
            They are compiled one by one from then on.
    """

    environment: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    rows: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    broken: list[list[str]] = dataclasses.field(default_factory=list)
    suspects: list[str] = dataclasses.field(default_factory=list)

    def add_environment(self, facts: dict[str, Any]) -> None:
        """Add the facts of a start, unless the ones before say the same.

        PyTorch starts later than JAX, so a start may tell more facts after its first.
        """
        lasting = lambda facts: {k: v for k, v in facts.items() if k not in PASSING}
        new, old = lasting(facts), lasting((self.environment or [{}])[-1])
        if new.items() <= old.items():
            return
        if old.items() <= new.items():
            self.environment[-1:] = [facts]
        else:
            self.environment.append(facts)

    def forget(self, text: str) -> None:
        """Drop the rows whose key contains a text, so that they are measured again."""
        self.rows = {key: row for key, row in self.rows.items() if text not in key}
        self.broken = [each for each in self.broken if text not in each[0]]
        self.suspects = [key for key in self.suspects if text not in key]

    def measurements(self, group: str) -> list[Measurement]:
        """Return all measurements of a group in which some program ran."""
        found = [
            Measurement(**fields)
            for row in self.rows.values()
            if row["group"] == group
            for fields in row.get("measurements", [])
        ]
        return [measurement for measurement in found if measurement.seconds]


def read_record(path: Path) -> DeviceRecord:
    """Return the record in a file; an empty one if there is no file.

    Raises:
        ValueError: If the file holds something else.
    """
    fields = read_json(path)
    try:
        return DeviceRecord(**(fields or {}))
    except TypeError as error:
        raise ValueError(
            f"{path} is no record of benchmarks/on_device.py: {error}"
        ) from error


def write_record(path: Path, record: DeviceRecord) -> None:
    """Write the record whole, or leave the file as it was."""
    write_text(path, json.dumps(dataclasses.asdict(record)) + "\n")
