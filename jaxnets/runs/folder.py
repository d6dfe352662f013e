"""The folder of a run: its files are written and parsed here and nowhere else.

`config.json` says what was asked for and `records.csv` what was measured.
`summary.json` has the verdicts, the state of each arm, and the machine.
"""

import dataclasses
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.records import Record, read_records, write_records


CONFIG, RECORDS, SUMMARY = "config.json", "records.csv", "summary.json"


@dataclasses.dataclass(frozen=True)
class ContrastConfig:
    """What a run was asked for.

    Attributes:
        studies: Names of the studies, in order.
        scale: `smoke`, `laptop` or `accelerator`.
        seeds: Seeds of the networks of every arm.
        dataset: Name of the data set for the studies that need images.

    Example:
        >>> from jaxnets.studies import ContrastConfig
        >>> config = ContrastConfig(("depth",), "laptop", (0, 1, 2), "digits")
        >>> len(config.seeds)
        3
    """

    studies: tuple[str, ...]
    scale: str
    seeds: tuple[int, ...]
    dataset: str


class Run(NamedTuple):
    """The contents of a run folder, which may be incomplete.

    Attributes:
        records: The rows of `records.csv`.
        summary: `summary.json`, empty if it is missing.
        config: `config.json`, empty if it is missing.
        remarks: Sentences on what is missing or doubtful.
    """

    records: list[Record]
    summary: dict[str, Any]
    config: dict[str, Any]
    remarks: list[str]

    def of_study(self, study: str) -> list[Record]:
        """Return the records of one study."""
        return [record for record in self.records if record.study == study]

    def studies(self) -> list[str]:
        """Return the studies that were asked for or have records, in order."""
        names = {record.study for record in self.records}
        names.update(map(str, items(self.config.get("studies"))))
        return [name for name in STUDIES if name in names]

    def entries(self, name: str) -> list[dict[str, Any]]:
        """Return the objects in a list of the summary, such as `arms`."""
        return [
            entry for entry in items(self.summary.get(name)) if isinstance(entry, dict)
        ]

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object of the summary, such as `environment`."""
        found = self.summary.get(name)
        return found if isinstance(found, dict) else {}


class RunFolder:
    """Reads and writes the files of one run. Each file is replaced as a whole.

    Args:
        path: The folder; it need not exist yet.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jaxnets.studies import ContrastConfig, RunFolder
        >>> with tempfile.TemporaryDirectory() as path:
        ...     folder = RunFolder(Path(path) / "run")
        ...     folder.create(ContrastConfig(("time",), "smoke", (0,), "digits"))
        ...     folder.config().studies, folder.records()
        (('time',), [])
    """

    def __init__(self, path: Path):
        self.path = path

    def create(self, config: ContrastConfig) -> None:
        """Begin a run.

        Raises:
            FileExistsError: If the folder already holds a run.
        """
        if (self.path / CONFIG).exists():
            raise FileExistsError(
                f"{self.path} already holds a run. Finish it with --resume "
                f"{self.path}, or choose another --out."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_json(CONFIG, dataclasses.asdict(config))

    def config(self) -> ContrastConfig:
        """Return what the run was asked for.

        Raises:
            FileNotFoundError: If the folder holds no run.
            ValueError: If its `config.json` is not that of a contrast.
        """
        file = self.path / CONFIG
        try:
            values = self._read_json(CONFIG)
            if values is None:
                raise FileNotFoundError(
                    f"{self.path} holds no run: there is no {CONFIG} in it. Give the "
                    "folder that `jaxnets contrast` printed."
                )
            return ContrastConfig(
                tuple(values["studies"]),
                values["scale"],
                tuple(values["seeds"]),
                values["dataset"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file} cannot be read as the configuration of a run ({error!r})."
            ) from error

    def records(self) -> list[Record]:
        """Return what was measured so far."""
        file = self.path / RECORDS
        return read_records(file) if file.is_file() else []

    def summary(self) -> dict[str, Any]:
        """Return the summary so far."""
        return self._read_json(SUMMARY) or {}

    def save(self, records: list[Record], summary: dict[str, Any]) -> None:
        """Write records and summary."""
        write_records(self.path / RECORDS, records)
        self._write_json(SUMMARY, summary)

    def read(self) -> Run:
        """Read everything that is there, of a complete or an interrupted run.

        Raises:
            ValueError: If the folder does not exist, or a file in it cannot be parsed.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as path:
            ...     RunFolder(Path(path)).read().remarks[0]
            'This run has no records.csv, so there is nothing to draw.'
        """
        if not self.path.is_dir():
            raise ValueError(
                f"`run` is {self.path}, which is not a folder; wanted the folder that "
                f"`jaxnets contrast` wrote, with {RECORDS} in it."
            )
        records = self.records()
        summary, config = self._read_json(SUMMARY), self._read_json(CONFIG)
        remarks = []
        if not (self.path / RECORDS).is_file():
            remarks.append(f"This run has no {RECORDS}, so there is nothing to draw.")
        elif not records:
            remarks.append(f"{RECORDS} is empty, so there is nothing to draw.")
        if summary is None:
            remarks.append(
                f"This run has no {SUMMARY}: the verdicts are missing, and so is what "
                "ran where."
            )
        if config is None:
            remarks.append(
                f"This run has no {CONFIG}: the configuration of the run is not known."
            )
        remarks += _mixed_arms(records)
        return Run(records, summary or {}, config or {}, remarks)

    def _read_json(self, name: str) -> dict[str, Any] | None:
        """Return the object in a file, or None if there is no file."""
        file = self.path / name
        if not file.is_file():
            return None
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{file} is not JSON ({error}). The file may have been cut off; delete "
                "it to draw the run without it."
            ) from error
        if not isinstance(found, dict):
            raise ValueError(
                f"{file} holds a {type(found).__name__}; wanted an object with names. "
                "Is it the file of a jaxnets run?"
            )
        return found

    def _write_json(self, name: str, value: Any) -> None:
        partial = self.path / f"{name}.partial"
        text = json.dumps(_without_nonfinite(value), indent=2, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(self.path / name)


def items(found: object) -> list[Any]:
    """Return `found` as a list: a text becomes a list of one, any other value none."""
    if isinstance(found, str):
        return [found]
    return list(found) if isinstance(found, list | tuple) else []


def _without_nonfinite(value: Any) -> Any:
    """Replace infinities and NaN, which JSON does not have, by None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(item) for item in value]
    return value


def _mixed_arms(records: list[Record]) -> list[str]:
    """Return a remark on each group of arms that would be averaged as if they were one.

    Charts and tables average over the seeds of one family and size.
    """
    arms = defaultdict(set)
    for record in records:
        arms[record.study, record.family, record.size].add(record.arm)
    return [
        f"In the study {study} the arms {', '.join(sorted(names))} share one family "
        f"and size ({family}, {size:g}); they are averaged as if they were one."
        for (study, family, size), names in arms.items()
        if len(names) > 1
    ]
