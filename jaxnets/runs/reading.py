"""The run folder, read whole; what a partial run lacks is said in words."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.runs.records import Record, read_records


STUDIES = ("depth", "time", "saturation", "overfitting", "theory")


class Run(NamedTuple):
    """What a run folder holds.

    Attributes:
        records: The rows of `records.csv`.
        summary: `summary.json`, empty where it is missing.
        config: `config.json`, empty where it is missing.
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
        """Return the studies that the run asked for or has records of."""
        asked = items(self.config.get("studies"))
        present = {record.study for record in self.records}
        return [name for name in STUDIES if name in asked or name in present]

    def entries(self, name: str) -> list[dict[str, Any]]:
        """Return the objects of a list in the summary, such as `arms`."""
        return [
            entry for entry in items(self.summary.get(name)) if isinstance(entry, dict)
        ]

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object of the summary, such as `environment`."""
        found = self.summary.get(name)
        return found if isinstance(found, dict) else {}


def items(found: object) -> list[Any]:
    """Return `found` as a list: itself, a list of one text, or nothing."""
    if isinstance(found, str):
        return [found]
    return list(found) if isinstance(found, list | tuple) else []


def read_run(folder: Path) -> Run:
    """Read the run in `folder`, whole or partial.

    Raises:
        ValueError: If `folder` is no folder, or if a file in it cannot be read as what
            it should be.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_run(Path(folder)).remarks[0]
        'This run has no records.csv, so there is nothing to draw.'
    """
    if not folder.is_dir():
        raise ValueError(
            f"`run` is {folder}, which is not a folder; wanted the folder that "
            "`jaxnets contrast` wrote, with records.csv in it."
        )
    remarks = []
    path = folder / "records.csv"
    records = read_records(path) if path.exists() else []
    if not path.exists():
        remarks.append("This run has no records.csv, so there is nothing to draw.")
    elif not records:
        remarks.append("records.csv is empty, so there is nothing to draw.")
    contents = {}
    for name, lack in (
        ("summary.json", "verdicts and the account of what ran where are missing"),
        ("config.json", "the configuration of the run is not known"),
    ):
        contents[name] = _read_object(folder / name)
        if contents[name] is None:
            remarks.append(f"This run has no {name}: {lack}.")
    remarks += _mixed_arms(records)
    return Run(
        records, contents["summary.json"] or {}, contents["config.json"] or {}, remarks
    )


def _read_object(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is not JSON ({error}). The file may have been cut off; delete it "
            "to draw the run without it."
        ) from error
    if not isinstance(found, dict):
        raise ValueError(
            f"{path} holds a {type(found).__name__}; wanted an object with names. "
            "Is it the file of a jaxnets run?"
        )
    return found


def _mixed_arms(records: list[Record]) -> list[str]:
    """Say where arms would be taken for seeds of one another."""
    arms = defaultdict(set)
    for record in records:
        arms[record.study, record.family, record.size].add(record.arm)
    return [
        f"In the study {study} the arms {', '.join(sorted(names))} share one family "
        f"and size ({family}, {size:g}); they are averaged as if they were one."
        for (study, family, size), names in arms.items()
        if len(names) > 1
    ]
