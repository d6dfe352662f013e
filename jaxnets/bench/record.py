"""The record of a run, as `--json` holds it."""

import dataclasses
import json
from typing import Any

from jaxnets.bench.measurement import Measurement


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run wrote down; `--json` holds it.

    Attributes:
        suite: What was timed.
        settings: How.
        environment: Where.
        measurements: Every case with all its samples.
    """

    suite: str
    settings: dict[str, Any]
    environment: dict[str, Any]
    measurements: list[Measurement]


def read_record(text: str) -> Record:
    """Return the record that `--json` wrote."""
    fields = json.loads(text)
    measured = [Measurement(**each) for each in fields.pop("measurements")]
    return Record(**fields, measurements=measured)
