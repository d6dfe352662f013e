"""The state of a run between two arms: what has ended, and what was measured."""

import dataclasses
import datetime
import importlib
import time
from types import ModuleType
from typing import Any, NamedTuple

from jaxnets import gradflow
from jaxnets.runs.configuration import ContrastConfig
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.records import Record
from jaxnets.runs.summary import by_arm, damage, measured
from jaxnets.studies.arm import Arm, Outcome
from jaxnets.studies.theory.verdicts import claim_verdicts
from jaxnets.training.machine import environment


def study_module(name: str) -> ModuleType:
    """Return `jaxnets.studies.NAME`, the module of a study.

    It has two functions, `arms(scale, dataset) -> list[Arm]` and
    `run(arm, seeds, on_epoch) -> Outcome`, and two texts for the report: `INITIALISER`,
    how its networks are initialised, and `NOTES`, further paragraphs.
    """
    return importlib.import_module(f"jaxnets.studies.{name}")


class Ended(NamedTuple):
    """An arm that has ended: its entry in the summary, and its records."""

    entry: dict[str, Any]
    records: list[Record]


class RunState:
    """The state of a run between two arms.

    Args:
        config: What the run was asked for.
        folder: Its folder. Its arms that have ended and are intact are kept.
        command: The command that asked for it.

    Attributes:
        arms: All arms of the run.
        remarks: Sentences on arms that run again, and on what could not be checked.

    Raises:
        ValueError: If a file of the folder cannot be read, or belongs to another run.
    """

    def __init__(self, config: ContrastConfig, folder: RunFolder, command: str):
        self.config = config
        self.folder = folder
        self.arms = [
            arm
            for name in config.studies
            for arm in study_module(name).arms(config.scale, config.dataset)
        ]
        self.remarks: list[str] = []
        self._ended: dict[str, Ended] = {}
        before = folder.summary()
        self._take(before)
        self._seconds_before = before.get("seconds") or 0.0
        self._began = time.perf_counter()
        now = datetime.datetime.now(datetime.UTC)
        self._started = before.get("started") or now.isoformat(timespec="seconds")
        self._command = before.get("command") or command

    def _take(self, before: dict[str, Any]) -> None:
        """Take over the arms that are intact; say which are not, and lose nothing."""
        self._check_config(before.get("config"))
        entries = {entry["arm"]: entry for entry in before.get("arms") or []}
        records = by_arm(self.folder.records())
        self._check_arms("summary.json", entries)
        self._check_arms("records.csv", records)
        unchecked = []
        for name, entry in entries.items():
            if entry.get("status") not in ("finished", "stopped"):
                continue
            found = records.get(name, [])
            if reason := damage(entry, found):
                self.remarks.append(f"{name} runs again: {reason}.")
                continue
            if entry.get("checksum") is None:
                unchecked.append(name)
            self._ended[name] = Ended(entry, found)
        if unchecked:
            self.remarks.append(
                "An older version of jaxnets began this run and wrote no checksums, so "
                "it could not be checked that these arms are intact: "
                f"{', '.join(unchecked)}."
            )
        # Records are written before the summary. If the run was killed in between,
        # there are records of an arm that will run again.
        if again := [name for name in records if name not in self._ended]:
            kept = self.folder.keep_records()
            self.remarks.append(
                f"The records so far of {', '.join(again)} are kept in {kept.name}."
            )

    def _check_config(self, before: Any) -> None:
        """Raise an error if the arms were measured with another configuration."""
        if before is None:
            return
        try:
            differences = self.config.differences(ContrastConfig.parse(before))
        except (TypeError, ValueError) as error:
            differences = str(error)
        if differences:
            raise ValueError(
                f"{self.folder.path}: config.json is not the one that summary.json was "
                f"measured with: {differences}. Undo the change, or begin a new run."
            )

    def _check_arms(self, file: str, names: dict[str, Any]) -> None:
        known = {arm.name for arm in self.arms}
        if foreign := [name for name in names if name not in known]:
            raise ValueError(
                f"{self.folder.path / file} has the arm {foreign[0]!r}, which is no "
                f"arm of {', '.join(self.config.studies)} at {self.config.scale} "
                "scale. Is it the file of another run? Move it away, and its arms run "
                "again."
            )

    @property
    def ended(self) -> int:
        """How many arms have ended."""
        return len(self._ended)

    def remaining(self) -> list[Arm]:
        """Return the arms that have not ended."""
        return [arm for arm in self.arms if arm.name not in self._ended]

    def add(self, arm: Arm, outcome: Outcome, seconds: float) -> None:
        """Add the outcome of an arm, and save."""
        entry = {
            **_entry(arm, "stopped" if outcome.message else "finished"),
            "message": outcome.message,
            "seconds": seconds,
            "compile_seconds": outcome.compile_seconds,
            "parameters": outcome.parameters,
            **measured(outcome.records),
        }
        # This is one assignment, so that Ctrl-C leaves either both or neither.
        self._ended[arm.name] = Ended(entry, outcome.records)
        self.save()

    def records(self) -> list[Record]:
        """Return the records in the order of the arms, whichever ended first."""
        ended = [self._ended[a.name] for a in self.arms if a.name in self._ended]
        return [record for arm in ended for record in arm.records]

    def verdicts(self) -> list[gradflow.Verdict]:
        """Judge what was measured so far."""
        return gradflow.verdicts(self.records())

    def save(self) -> None:
        """Write records and summary."""
        self.folder.save(self.records(), self._summary())

    def _summary(self) -> dict[str, Any]:
        studies = {name: study_module(name) for name in self.config.studies}
        seconds = self._seconds_before + time.perf_counter() - self._began
        return {
            "verdicts": [verdict._asdict() for verdict in self.verdicts()],
            "claims": [v._asdict() for v in claim_verdicts(self.records())],
            "arms": [self._entry_of(arm) for arm in self.arms],
            "config": dataclasses.asdict(self.config),
            "environment": environment(),
            "command": self._command,
            "started": self._started,
            "seconds": seconds,
            "notes": {name: study.NOTES for name, study in studies.items()},
            "initialisers": {
                name: study.INITIALISER for name, study in studies.items()
            },
        }

    def _entry_of(self, arm: Arm) -> dict[str, Any]:
        ended = self._ended.get(arm.name)
        return _entry(arm, "pending") if ended is None else ended.entry


def _entry(arm: Arm, status: str) -> dict[str, Any]:
    return {
        "study": arm.study,
        "arm": arm.name,
        "family": arm.family,
        "size": arm.size,
        "status": status,
    }
