"""The figures of every update and evaluation: `metrics.jsonl`, and TensorBoard."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxnets.gradflow.monitoring.tensorboard import summary_writer
from jaxnets.runs.files import write_text


class Metrics:
    """Writes figures to `metrics.jsonl`, and to TensorBoard's files if wanted.

    Args:
        path: The file.
        step: The number of updates so far. What was written after it, by a run that is
            resumed now, does not count.
        tensorboard: The folder of TensorBoard's files; None for none.

    Raises:
        ImportError: If nothing can write TensorBoard's files.
        OSError: If the file cannot be written.
    """

    def __init__(self, path: Path, step: int, tensorboard: Path | None = None):
        keep_until(path, step)
        append(path, [])
        self._path = path
        self._board = tensorboard and summary_writer(tensorboard, step)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows, each with its `step`."""
        rows = list(rows)
        # A checkpoint in the background may make a folder again that was moved away.
        append(self._path, rows, create=False)
        if self._board:
            for row in rows:
                for name in row.keys() - {"step"}:
                    self._board.add_scalar(name, row[name], row["step"])
            self._board.flush()

    def close(self) -> None:
        """Close TensorBoard's files."""
        if self._board:
            self._board.close()


def keep_until(path: Path, step: int) -> None:
    r"""Drop the lines after `step`, and a last line that was not written to its end.

    A run that is resumed writes them again.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "metrics.jsonl")
        ...     append(path, [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])
        ...     keep_until(path, 1)
        ...     path.read_text()
        '{"step": 1, "loss": 2.0}\n'
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        number = row.get("step") if isinstance(row, dict) else None
        if isinstance(number, int) and number <= step:
            kept.append(line + "\n")
    write_text(path, "".join(kept))


def append(
    path: Path, rows: Iterable[Mapping[str, Any]], *, create: bool = True
) -> None:
    """Append rows; a number that is not finite becomes null, as JSON wants it.

    Args:
        path: The file.
        rows: The rows.
        create: Whether to make the file if there is none.

    Raises:
        OSError: If the disk is full, or the folder cannot be written or is gone.
    """
    lines = [json.dumps({k: _number(v) for k, v in row.items()}) for row in rows]
    flags = os.O_WRONLY | os.O_APPEND | (os.O_CREAT if create else 0)
    opener = lambda name, _: os.open(name, flags, 0o666)
    try:
        with open(path, "a", encoding="utf-8", opener=opener) as file:
            file.write("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise OSError(
            f"{path} could not be written: {error.strerror}. The checkpoints that were "
            "complete stay as they were; when there is room again and the folder can "
            "be written, go on with the same call or --resume."
        ) from error


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
