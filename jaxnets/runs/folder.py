"""The folder of a run: what it was asked, what it measured, how far it is."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from jaxnets.runs.records import Record, read_records, write_records


@dataclasses.dataclass(frozen=True)
class ContrastConfig:
    """What a run was asked for.

    Attributes:
        studies: Names of the studies, in order.
        scale: `smoke`, `laptop` or `accelerator`.
        seeds: Seeds of the networks of every arm.
        dataset: Images for the studies that need some.

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


class RunFolder:
    """Reads and writes the files of one run; each is replaced whole or not at all.

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
        if (self.path / "config.json").exists():
            raise FileExistsError(
                f"{self.path} already holds a run. Finish it with --resume "
                f"{self.path}, or choose another --out."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_json("config.json", dataclasses.asdict(config))

    def config(self) -> ContrastConfig:
        """Return what the run was asked for.

        Raises:
            FileNotFoundError: If the folder holds no run.
            ValueError: If its `config.json` is not that of a contrast.
        """
        file = self.path / "config.json"
        if not file.is_file():
            raise FileNotFoundError(
                f"{self.path} holds no run: there is no config.json in it. Give the "
                "folder that `jaxnets contrast` printed."
            )
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
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
        file = self.path / "records.csv"
        return read_records(file) if file.is_file() else []

    def summary(self) -> dict[str, Any]:
        """Return the summary so far."""
        file = self.path / "summary.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def save(self, records: list[Record], summary: dict[str, Any]) -> None:
        """Write records and summary."""
        write_records(self.path / "records.csv", records)
        self._write_json("summary.json", summary)

    def _write_json(self, name: str, value: Any) -> None:
        partial = self.path / f"{name}.partial"
        text = json.dumps(_strict(value), indent=2, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(self.path / name)


def _strict(value: Any) -> Any:
    """Replace numbers that JSON does not know by None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value
