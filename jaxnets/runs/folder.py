"""The folder of a run: its files are written and parsed here and nowhere else.

`config.json` says what was asked for and `records.csv` what was measured.
`summary.json` has the verdicts, the state of each arm, and the machine.
"""

import contextlib
import dataclasses
import hashlib
import os
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets._version import __version__
from jaxnets.runs.catalogue import SECTIONS
from jaxnets.runs.configuration import ContrastConfig, command_of, other_command
from jaxnets.runs.exhibits import EXHIBITS, Exhibit, read_exhibits
from jaxnets.runs.files import (
    TO_DRAW,
    as_path,
    check_writable,
    json_text,
    read_json,
    write_bytes,
    write_text,
)
from jaxnets.runs.lock import run_lock
from jaxnets.runs.records import Record, read_records, write_records
from jaxnets.runs.summary import damaged_arms, valid_summary


CONFIG, RECORDS, SUMMARY = "config.json", "records.csv", "summary.json"
# An error names at most this many wrong fields.
MOST_FAULTS = 3


class Run(NamedTuple):
    """The contents of a run folder, which may be incomplete.

    Attributes:
        records: The rows of `records.csv`.
        summary: `summary.json`, empty if it is missing.
        config: `config.json`, empty if it is missing.
        remarks: Sentences on what is missing or doubtful.
        exhibits: What a task shows of its results; empty without `exhibits.json`.
    """

    records: list[Record]
    summary: dict[str, Any]
    config: dict[str, Any]
    remarks: list[str]
    exhibits: list[Exhibit]

    def of_study(self, study: str) -> list[Record]:
        """Return the records of one study."""
        return [record for record in self.records if record.study == study]

    def studies(self) -> list[str]:
        """Return the studies that were asked for or have records, in order."""
        names = {record.study for record in self.records}
        names.update(map(str, items(self.config.get("studies"))))
        return [name for name in SECTIONS if name in names]

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

    Raises:
        TypeError: If `path` is not a path.
        ValueError: If it is empty.

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

    def __init__(self, path: str | os.PathLike[str]):
        self.path = as_path(path)

    def check_free(self) -> None:
        """Check that a run can begin here: in a new folder or an empty one.

        Files whose names begin with a dot do not count.

        Raises:
            FileExistsError: If the folder already holds a run or something else.
            ValueError: If `path` is not a folder, or cannot be written.
        """
        found = self._names("path") if os.path.lexists(self.path) else set()
        names = {name for name in found if name[0] != "."}
        if CONFIG in names:
            raise FileExistsError(
                f"{self.path} already holds a run. Choose another folder."
                f"{self._resumption()}"
            )
        if names:
            raise FileExistsError(
                f"{self.path} holds {min(names)!r} and no run; wanted a new folder or "
                "an empty one. Choose another folder."
            )
        check_writable(self.path, "path")

    def create(self, config: ContrastConfig) -> None:
        """Begin a run.

        Raises:
            FileExistsError: If the folder already holds a run or something else.
            ValueError: If `path` is not a folder.
        """
        self.check_free()
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_json(CONFIG, dataclasses.asdict(config))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from running in this folder, which is made if needed.

        Raises:
            BlockingIOError: If another process runs in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with run_lock(self.path):
            yield

    def config(self) -> ContrastConfig:
        """Return what the run was asked for.

        Raises:
            FileNotFoundError: If the folder holds no run.
            ValueError: If its `config.json` is not that of a contrast; the error names
                the command whose run it is.
        """
        file = self.path / CONFIG
        try:
            values = read_json(file)
            if values is None:
                raise FileNotFoundError(
                    f"{self.path} holds no run: there is no {CONFIG} in it. Give the "
                    "folder that `jaxnets contrast` printed."
                )
            if not (other := other_command(values, "contrast", self.path)):
                return ContrastConfig.parse(values)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{file} cannot be read as the configuration of a run: {error} Correct "
                "the file, or begin a new run."
            ) from error
        raise ValueError(other)

    def records(self) -> list[Record]:
        """Return what was measured so far.

        Raises:
            ValueError: If a row of `records.csv` is not a record.
        """
        file = self.path / RECORDS
        return read_records(file) if os.path.lexists(file) else []

    def summary(self) -> dict[str, Any]:
        """Return the summary so far.

        Raises:
            ValueError: If a field of `summary.json` does not hold what it should.
        """
        file = self.path / SUMMARY
        remedy = "Move it away: then all arms run again."
        summary, faults = valid_summary(read_json(file, remedy) or {})
        if faults:
            raise ValueError(
                f"{file}: {'; '.join(faults[:MOST_FAULTS])}. Correct the file, or move "
                "it away: then all arms run again."
            )
        return summary

    def create_with(
        self, records: Iterable[Record], verdicts: Iterable[dict[str, Any]]
    ) -> None:
        """Write what was measured outside of `jaxnets contrast`, as a whole run.

        Args:
            records: The records.
            verdicts: The fields of the verdicts on them.

        Raises:
            FileExistsError: If the folder already holds a run or something else.
            ValueError: If `path` is not a folder.
        """
        self.check_free()
        self.path.mkdir(parents=True, exist_ok=True)
        records = list(records)
        environment = {"jaxnets": __version__}
        self.save(records, {"verdicts": list(verdicts), "environment": environment})
        config = {
            "studies": sorted({record.study for record in records}),
            "seeds": sorted({record.seed for record in records}),
        }
        self._write_json(CONFIG, config)

    def save(self, records: Iterable[Record], summary: dict[str, Any]) -> None:
        """Write records and summary."""
        write_records(self.path / RECORDS, records)
        self._write_json(SUMMARY, summary)

    def keep_records(self) -> Path:
        """Copy `records.csv` to a name of its own, and return it.

        The same contents get the same name.
        """
        data = (self.path / RECORDS).read_bytes()
        digest = hashlib.blake2b(data, digest_size=4).hexdigest()
        kept = self.path / f"records-before-{digest}.csv"
        write_bytes(kept, data)
        return kept

    def read(self) -> Run:
        """Read everything that is there, of a complete or an interrupted run.

        Fields of `summary.json` that do not hold what they should are left out, and a
        remark names them.

        Raises:
            ValueError: If the folder does not exist or holds no run, or a file in it
                cannot be parsed.

        Example:
            >>> import tempfile
            >>> from jaxnets.studies import ContrastConfig
            >>> with tempfile.TemporaryDirectory() as path:
            ...     folder = RunFolder(Path(path))
            ...     folder.create(ContrastConfig(("time",), "smoke", (0,), "digits"))
            ...     folder.read().remarks[0]
            'This run has no records.csv, so there is nothing to draw.'
        """
        if not {CONFIG, RECORDS, SUMMARY} & self._names("run"):
            raise ValueError(
                f"`run` is {self.path}, which holds no run; wanted the folder "
                f"that `jaxnets contrast` wrote, with {RECORDS} in it."
            )
        records = self.records()
        files = (self.path / name for name in (SUMMARY, CONFIG))
        found, config = (read_json(file, TO_DRAW) for file in files)
        summary, faults = valid_summary(found or {})
        remarks = []
        if not os.path.lexists(self.path / RECORDS):
            remarks.append(f"This run has no {RECORDS}, so there is nothing to draw.")
        elif not records:
            remarks.append(f"{RECORDS} is empty, so there is nothing to draw.")
        if found is None:
            remarks.append(
                f"This run has no {SUMMARY}: the verdicts are missing, and so is what "
                "ran where."
            )
        if config is None:
            remarks.append(
                f"This run has no {CONFIG}: the configuration of the run is not known."
            )
        remarks += [f"Left out of {SUMMARY}: {fault}." for fault in faults]
        remarks += damaged_arms(summary, records)
        remarks += _mixed_arms(records)
        exhibits, faults = read_exhibits(self.path)
        remarks += [f"Left out of {EXHIBITS}: {fault}." for fault in faults]
        return Run(records, summary, config or {}, remarks, exhibits)

    def _resumption(self) -> str:
        """Return how the run in the folder is resumed, after a space, if it can be."""
        with contextlib.suppress(ValueError):
            command = command_of(read_json(self.path / CONFIG) or {})
            if command in ("contrast", "train"):
                folder = shlex.quote(str(self.path))
                return f" It goes on with `jaxnets {command} --resume {folder}`."
        return ""

    def _names(self, argument: str) -> set[str]:
        """Return the names of what is in the folder, which `argument` names."""
        if not self.path.is_dir():
            raise ValueError(
                f"`{argument}` is {self.path}, which is not a folder; wanted the "
                "folder of a run."
            )
        return set(os.listdir(self.path))

    def _write_json(self, name: str, value: Any) -> None:
        write_text(self.path / name, json_text(value) + "\n")


def items(found: object) -> list[Any]:
    """Return `found` as a list: a text becomes a list of one, any other value none."""
    if isinstance(found, str):
        return [found]
    return list(found) if isinstance(found, list | tuple) else []


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
