"""Records: a run writes them; its report and its verdicts are made from them.

Each row has one number, so any tool for tables can use `records.csv`.
"""

import csv
import io
import math
import reprlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.runs.files import LARGEST, printable, read_text, write_text


REMEDY = (
    "The file may have been cut off; delete the line, and then draw the run "
    "again or resume it."
)


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
            - `lesion`, the change of the validation loss without the block, and
              `block_contribution`, `|F(x)| / |x|`.
            - `log10_forward_gain` and `log10_backward_gain`, by how much the mixings of
              the blocks so far can amplify, in networks with hyper-connections.
            - `gate_timescale` in steps, `lyapunov_exponent` in nats per step.
            - `memory_exponent`: the power of its memory with which the sensitivity of a
              gated unit grows, and `predicted_memory_exponent`.
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
            - `log10_first_step_rate`: log10 of the learning rate at which the first
              update changes the last hidden layer by as much as it is large, and
              `predicted_log10_first_step_rate`, theory's line for it;
              `log10_stable_rate`: that of the largest rate with which training is
              stable.
            - `log10_learning_rate`, where a study chooses the rate by itself.
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
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Record._fields)
    writer.writerows(records)
    write_text(path, text.getvalue())


def read_records(path: Path) -> list[Record]:
    r"""Read the records that `write_records` wrote.

    Control characters in texts become escapes, such as `\x1b`.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If the header or a row of the file is not that of a `Record`, or if
            the file is not text.

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
    text = read_text(path)
    if text is None:
        raise FileNotFoundError(f"There is no {path}.")
    rows = csv.reader(io.StringIO(printable(text), newline=""), strict=True)
    try:
        header = tuple(next(rows, ()))
        if header != Record._fields:
            raise ValueError(
                f"{path}: the first row is {reprlib.repr(header)}; wanted "
                f"{','.join(Record._fields)}. Is it the records.csv of a jaxnets run?"
            )
        lines, found = [], []
        for row in rows:
            lines.append(rows.line_num)
            found.append(row)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {rows.line_num}: it is not CSV ({error}). {REMEDY}"
        ) from error
    try:
        columns = zip(*found, strict=True)
        parsed = [_column(*each) for each in zip(PARSERS, columns, strict=True)]
        return list(map(Record._make, zip(*parsed, strict=True)))
    except ValueError:
        # Rows are parsed one by one, so that the error names the line and the field.
        return [_parse(*each, path) for each in zip(found, lines, strict=True)]


def _name(text: str) -> str:
    if not text:
        raise ValueError("it is empty; wanted a name")
    return text


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value) and "inf" not in text.lower():
        raise ValueError(f"{text} is too large for a number of 64 bits")
    return value


def _size(text: str) -> float:
    if not math.isfinite(value := _number(text)):
        raise ValueError(f"{text} is not finite")
    return value


def _whole(text: str, least: int = 0) -> int:
    if not least <= (value := int(text)) < LARGEST:
        raise ValueError(f"{text} is not from {least} to 2^63 - 1")
    return value


def _seed(text: str) -> int:
    return _whole(text, -1)


def _position(text: str) -> int | None:
    return _whole(text) if text else None


# For each field the function that parses it.
PARSERS: tuple[Callable[[str], Any], ...] = (
    _name,
    _name,
    str,
    _size,
    _seed,
    _whole,
    _name,
    str,
    _position,
    _number,
)


def _column(parse: Callable[[str], Any], texts: Iterable[str]) -> list[Any]:
    """Return the parsed texts of a field; most fields have few different ones."""
    texts = tuple(texts)
    values = {text: parse(text) for text in set(texts)}
    return [values[text] for text in texts]


def _parse(row: list[str], line: int, path: Path) -> Record:
    reason = f"it has {len(row)} fields; wanted {len(PARSERS)}"
    if len(row) == len(PARSERS):
        values = []
        try:
            values.extend(parse(text) for parse, text in zip(PARSERS, row, strict=True))
            return Record(*values)
        except ValueError as error:
            reason = f"`{Record._fields[len(values)]}`: {error}"
    raise ValueError(
        f"{path}, line {line}: {reprlib.repr(row)} is not a record ({reason}). {REMEDY}"
    )
