"""Records: a run writes them; its report and its verdicts are made from them.

Each row has one number, so any tool for tables can use `records.csv`.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Record(NamedTuple):
    """One measured number: a row of `records.csv`, whose columns have these names.

    Attributes:
        study: Name of a study in the catalogue (`jaxnets.runs.catalogue`), or `model`
            for a network that a user measured (`jaxnets.gradflow.flow_records`).
        arm: Unique name of the configuration, such as `plain-20`.
        family: What is contrasted, as the legend shows it, such as `residual`.
        size: The other axis of the study: depth in layers, sequence length in steps,
            gain of the initialiser, or dropout rate. In the study `theory`, what the
            networks of a claim differ in.
        seed: Seed of the network, or -1 if the number belongs to no seed.
        step: Number of updates before the measurement; 0 is before training.
        metric: What was measured. The studies write these metrics:

            - `log10_gradient_norm`, by layer or time step. It is a logarithm because
              norms leave the range of float32.
            - `predicted_log10_gradient_norm`: theory's line for it, and
              `predicted_low_log10_gradient_norm` and `predicted_high_...`: the band
              around that line in which narrow networks lie.
            - `response_std`, `gradient_correlation`, `path_length`.
            - `gate_timescale` in steps, `lyapunov_exponent` in nats per step.
            - `saturated_share`, and `dead_share` of ReLU units that are zero at all
              inputs.
            - `solved`, which is 0 or 1.
            - `log_chi_1`, in nats per layer, of a squared gradient.
            - `weight_variance` and `bias_variance`: where a network lies in the plane
              of its activation. `critical_weight_variance` and
              `critical_bias_variance`: the points of the line on which chi_1 is 1.
            - `claim`, `predicted_claim` and `refined_claim`, in the study `theory`: the
              number that the claim named by `arm` is about; its prediction, with a seed
              if it depends on the network; and the prediction without the claim's
              approximation.
            - `loss` and `accuracy` with the prefix `train_`, `validation_` or `test_`.
        place: Name of the tap or layer that was measured; empty for the whole network.
        position: Index of the layer, counted from the input, or of the time step; both
            start at 0. None for the whole network.
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
    """Write `records` to the CSV file `path`, which is replaced as a whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Record._fields)
        writer.writerows(records)
    partial.replace(path)


def read_records(path: Path) -> list[Record]:
    """Read the records that `write_records` wrote.

    Raises:
        ValueError: If the header or a row of the file is not that of a `Record`.

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
