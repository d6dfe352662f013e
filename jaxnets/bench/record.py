"""The record of a benchmark, which `--json` writes."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from jaxnets.bench.measurement import Measurement
from jaxnets.bench.options import Options
from jaxnets.runs.files import write_text


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


def write_files(record: Any, page: Callable[[Any], str], options: Options) -> None:
    """Write the files that the options name.

    Args:
        record: A dataclass, for `--json`.
        page: Returns the text of the record, for `--markdown`.
        options: Of these, `json` and `markdown` are read.
    """
    if options.json is not None:
        text = json.dumps(dataclasses.asdict(record), indent=1)
        write_text(options.json, text + "\n")
    if options.markdown is not None:
        write_text(options.markdown, page(record))
