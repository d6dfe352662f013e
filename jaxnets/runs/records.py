"""Records: what a run writes and everything that draws or judges reads.

One number a row, so that `records.csv` opens in any table tool without jaxnets.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Record(NamedTuple):
    """One measured number and where it belongs.

    Attributes:
        study: `depth`, `time`, `saturation`, `overfitting` or `theory`; `model` for a
            network that a user measured (`jaxnets.gradflow.flow_records`).
        arm: Unique name of the trained configuration, such as `plain-20`.
        family: What is contrasted, as the legend shows it, such as `residual`.
        size: The other axis of the study: depth in layers, sequence length in steps,
            gain of the initialiser, or dropout rate; of `theory` what a claim varies.
        seed: Seed of the network, or -1 where the number belongs to no seed.
        step: Updates made when it was measured; 0 is before training.
        metric: What was measured. The names that the studies write:
            `log10_gradient_norm` (by layer or time step; base 10 because norms leave
            float32's range), `predicted_log10_gradient_norm` (theory's line for it),
            `predicted_low_log10_gradient_norm` and `predicted_high_...` (the band of
            narrow networks around that line), `response_std`, `gradient_correlation`,
            `path_length`, `gate_timescale` (steps), `lyapunov_exponent` (nats a step),
            `saturated_share`, `dead_share` (of ReLU units that are zero at all inputs),
            `solved` (0 or 1), `log_chi_1` (nats a layer, of a squared gradient),
            `weight_variance` and `bias_variance` (where a network stands in the plane
            of its activation), `critical_weight_variance` and
            `critical_bias_variance` (the line where chi_1 is 1, by the number of its
            points), `claim`, `predicted_claim` and `refined_claim` (of the study
            `theory`: the number that the claim named by `arm` is about, what is
            predicted for it, with a seed where that is a property of the network, and
            what is predicted without the claim's approximation), and `loss` and
            `accuracy` with the prefix `train_`, `validation_` or `test_`.
        place: Name of the tap or layer; empty for the whole network.
        position: Layer, counted from the input as 0, or time step, counted from 0;
            None for the whole network.
        value: The number.
    """

    study: str
    arm: str
    family: str
    size: float
    seed: int
    step: int
    metric: str
    place: str
    position: int | None
    value: float


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write `records` to the CSV file `path`, header first, replacing it whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Record._fields)
        writer.writerows(records)
    partial.replace(path)


def read_records(path: Path) -> list[Record]:
    """Read the records that `write_records` wrote.

    Raises:
        ValueError: If the file's header or a row is not that of `Record`.

    Example:
        >>> import tempfile
        >>> record = Record(
        ...     "depth", "plain-8", "plain", 8.0, 0, 0, "loss", "", None, 2.3
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "records.csv"
        ...     write_records(path, [record])
        ...     read_records(path) == [record]
        True
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = tuple(next(rows, ()))
        if header != Record._fields:
            raise ValueError(
                f"{path}: the first row is {header}; wanted {Record._fields}. "
                "Is it the records.csv of a jaxnets run?"
            )
        return [_parse(row, path, number) for number, row in enumerate(rows, 2)]


def _parse(row: list[str], path: Path, number: int) -> Record:
    try:
        study, arm, family, size, seed, step, metric, place, position, value = row
        return Record(
            study,
            arm,
            family,
            float(size),
            int(seed),
            int(step),
            metric,
            place,
            int(position) if position else None,
            float(value),
        )
    except ValueError as error:
        raise ValueError(
            f"{path}, line {number}: {row} is not a record ({error}). "
            "The file may have been cut off; delete the line and draw again."
        ) from error
