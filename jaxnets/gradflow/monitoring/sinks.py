"""Where a monitor's reports go: records, TensorBoard, or any function."""

import csv
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.arguments import described
from jaxnets.gradflow.diagnosis.verdict import Verdict
from jaxnets.gradflow.monitoring.tensorboard import summary_writer
from jaxnets.runs.records import Record


class MonitorReport(NamedTuple):
    """What a monitor measured in one step; `str(report)` is a line to print.

    Attributes:
        step: Number of the step; the first is `start` of the monitor.
        records: The records of study `model`, as `verdicts` judges them.
        alarms: What is wrong in this step and was not wrong before.

    Example:
        >>> from jaxnets.gradflow import MonitorReport
        >>> print(MonitorReport(64, [], []))
        step 64
    """

    step: int
    records: list[Record]
    alarms: list[Verdict]

    def __str__(self) -> str:
        norms = [r for r in self.records if r.metric == "log10_gradient_norm"]
        losses = [r.value for r in self.records if r.metric == "loss"]
        parts = [f"step {self.step}", *(f"loss {loss:.4g}" for loss in losses)]
        if norms:
            first, last = norms[0], norms[-1]
            named = {"__call__": "the output"}
            ends = [
                f"{10.0**end.value:.3g} at {named.get(end.place, end.place)}"
                for end in (last, first)
            ]
            parts.append(f"gradient {' -> '.join(ends)}")
        alarms = [f"  {a.kind}: {a.sentence} {a.remedy}" for a in self.alarms]
        return "\n".join([", ".join(parts), *alarms])


Sink = Callable[[MonitorReport], Any]


def as_sink(target: Any, name: str, *, append: bool) -> Sink:
    """Return the function that takes the reports for `target`.

    Args:
        target: A path that ends in `.csv`, for records; any other path, for a folder of
            TensorBoard's files; an object with `add_scalar(tag, value, step)`, such as
            a `SummaryWriter`; or a function of a `MonitorReport`.
        name: The name of the argument.
        append: Whether records are added to those in the file.

    Raises:
        TypeError: If it is none of these.
        ImportError: If TensorBoard's files are wanted and nothing can write them.
    """
    if isinstance(target, str | os.PathLike):
        path = Path(target)
        if path.suffix == ".csv":
            return _csv_sink(path, append=append)
        return _scalars_sink(summary_writer(path))
    if callable(getattr(target, "add_scalar", None)):
        return _scalars_sink(target)
    if callable(target):
        return target
    raise TypeError(
        f"`{name}` is {described(target)}; wanted a path such as 'run/records.csv', a "
        "folder for TensorBoard, a SummaryWriter, or a function such as `print`."
    )


def _csv_sink(path: Path, *, append: bool) -> Sink:
    """Return a sink that writes the rows of each report at once, after the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (append and path.exists()):
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(Record._fields)

    def write(report: MonitorReport) -> None:
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(report.records)

    return write


def _scalars_sink(writer: Any) -> Sink:
    """Return a sink that writes one curve for each number.

    A tap in a time loop has a number for each step; its curves are those of the first
    and the last one.
    """

    def write(report: MonitorReport) -> None:
        for tag, value in scalars(report.records):
            writer.add_scalar(tag, value, report.step)
        if callable(flush := getattr(writer, "flush", None)):
            flush()

    return write


def scalars(records: list[Record]) -> list[tuple[str, float]]:
    """Return the tag and value of each curve.

    A norm of zero has no logarithm, and TensorBoard warns of it in every step. So its
    curve has a gap there.
    """
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.metric, record.place), []).append(record)
    tags = []
    for (metric, place), profile in found.items():
        tag = f"{metric}/{place}" if place else metric
        if len(profile) == 1:
            tags.append((tag, profile[0].value))
            continue
        ends = (profile[0], profile[-1])
        tags += [(f"{tag}/{end.position}", end.value) for end in ends]
    is_zero = lambda tag, value: tag.startswith("log10_") and value == -math.inf
    return [(tag, value) for tag, value in tags if not is_zero(tag, value)]
