"""The record of a benchmark, which `--json` writes."""

import dataclasses
import json
from typing import Any

from jaxnets.bench.measurement import Measurement


@dataclasses.dataclass(frozen=True)
class BenchmarkRecord:
    """The results of one call of `jaxnets bench`.

    Attributes:
        suite: The name of the suite.
        settings: Peers, rounds and the least seconds of a sample.
        environment: Versions and machine.
        measurements: Every case with all its samples.
    """

    suite: str
    settings: dict[str, Any]
    environment: dict[str, Any]
    measurements: list[Measurement]


def read_record(text: str) -> BenchmarkRecord:
    """Return the record that is in the text of a file that `--json` wrote."""
    fields = json.loads(text)
    measured = [Measurement(**each) for each in fields.pop("measurements")]
    return BenchmarkRecord(**fields, measurements=measured)
