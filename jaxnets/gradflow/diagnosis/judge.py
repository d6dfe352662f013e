"""`verdicts`: what the records of a run show, in words."""

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxnets.arguments import list_or_none
from jaxnets.gradflow.diagnosis.models.model import model_verdicts
from jaxnets.gradflow.diagnosis.nonfinite import nonfinite_verdicts, without_masks
from jaxnets.gradflow.diagnosis.start import start_verdicts
from jaxnets.gradflow.diagnosis.verdict import Verdict, select
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.records import Record


# The fields of a record that are numbers, and the types of such numbers.
_INT = (int, np.integer)
_FLOAT = (*_INT, float, np.floating)
_NUMBERS = {
    "size": _FLOAT,
    "seed": _INT,
    "step": _INT,
    "position": (*_INT, type(None)),
    "value": _FLOAT,
}


def verdicts(records: Iterable[Record]) -> list[Verdict]:
    """Judge the records of a run.

    - `depth` and `time`: the rate at which the gradient's norm changes backwards,
      `d log10 ||g|| / d position` by least squares for each seed, at the deepest or
      longest size, before and after training. `number` is the factor per block or time
      step, `10^rate`. The gradient vanishes or explodes if the 95 % interval over seeds
      (Student's t) lies beyond a factor of ten over the whole network or sequence, and
      it is healthy if the mean lies within. If one block or step makes at least half of
      the fault, or a part of the network is beyond tenfold while the whole is not, that
      part is judged and named, and `number` is its own factor.
    - `depth`: `shattered` if the whole interval of the correlation of gradients across
      inputs is below 1/64.
    - contrasts of plain with residual networks, and of RNN with GRU and LSTM. Each
      network multiplies the norm of the gradient by a factor on its way back; `number`
      is the `|log10|` of the first network's factor minus that of the second's, so it
      is positive if the second changes the gradient less. For time it is the difference
      of the rates, in powers of ten per 100 time steps. The intervals are over the
      differences seed by seed (paired t).
    - `saturation`: the share of saturated activations, the gradient that arrives at the
      first layer relative to the last, and dead ReLU units. `number` is the share, or
      the relative gradient if that is the fault.
    - `rate`: `rate-falls` if the largest stable learning rate falls faster than the
      depth to the power -0.3. `number` is the power.
    - `overfitting`: training minus validation accuracy, and how dropout changes it.
    - `model`: all of these for a network that `flow_records` or `diagnose` recorded,
      along its depth and along time, and its contrasts with the first network among the
      records. A gradient that changes along the layers is a fault only if the signal
      does not change the other way round and the gradients of the weights differ too.
      If the optimiser's updates, relative to the weights, differ less than tenfold, a
      change below a hundredfold is no fault, and one below 10^5 is a warning.
    - `model`, from the records of `diagnose`: `detached` (a parameter without any
      gradient that should have one), `dead` and `saturated` after each activation,
      `rank-collapse`, `padding`, `wrong-backward` (derivatives written by hand),
      `rate-too-high` and `rate-too-low`, and `wrong-loss` (a softmax of a softmax, or a
      loss of the wrong sign). A network is `healthy` only if it has neither a fault nor
      a warning. A fault after training that follows from too high a rate or from a
      wrong sign is reported as a note.
    - `model`, before training: the loss beside `ln(classes)`, dtypes, and updates that
      are rounded away.
    - any study: numbers that are not finite. A gradient norm of exactly zero (log10
      minus infinity) does not count as such; it counts as vanished.

    No verdict uses the spectrum of a weight matrix: a recurrent matrix of spectral
    radius 1.2 still loses the gradient if its units saturate.

    A run that is incomplete gives fewer verdicts. With one seed there is no interval,
    and the sentence says so; an arm that is missing has no verdict.

    Args:
        records: The records of one run, in any order; those of study `model` in the
            order of `flow_records`.

    Returns:
        Verdicts, those on non-finite numbers first, then study by study.

    Raises:
        TypeError: If `records` does not consist of `Record`s whose numbers are numbers.

    Example:
        >>> from jaxnets.gradflow import verdicts
        >>> from jaxnets.runs.records import Record
        >>> norms = [
        ...     Record(
        ...         "depth", "plain-20", "plain", 20.0, seed, 0, "log10_gradient_norm",
        ...         f"block{p}", p, -0.2 * (20 - p) + 0.01 * seed * p,
        ...     )
        ...     for seed in range(3) for p in range(21)
        ... ]
        >>> [verdict] = verdicts(norms)
        >>> verdict.kind, round(verdict.number, 3)
        ('vanishing', 0.617)

    Source: Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent
    neural networks", and He et al. 2015, "Deep Residual Learning for Image
    Recognition", section 4.1, for what to expect. The thresholds are our own;
    `Verdict.reason` gives the reason for each.
    """
    found = without_masks(_checked(records))
    judged = [
        *nonfinite_verdicts(found),
        *_study_verdicts(found),
        *model_verdicts(select(found, study="model")),
        *start_verdicts(select(found, study="model")),
    ]
    return _without_false_praise(_with_consequences(judged), found)


def _with_consequences(verdicts: list[Verdict]) -> list[Verdict]:
    """Say of numbers that became infinite in training which other fault did that."""
    found = []
    for verdict in verdicts:
        name = verdict.where.partition(", all steps")[0]
        causes = [
            other.where
            for other in verdicts
            if other.severity == "fault"
            and other.kind in ("rate-too-high", "wrong-loss")
            and other.where.startswith(f"{name}, ")
        ]
        at_start = "at step 0" in verdict.sentence
        if verdict.kind == "non-finite" and causes and not at_start:
            cause = f"A consequence: see {causes[0]}. {verdict.cause}".strip()
            verdict = verdict._replace(cause=cause)
        found.append(verdict)
    return found


def _without_false_praise(
    verdicts: list[Verdict], records: list[Record]
) -> list[Verdict]:
    """Leave out that a user's network is healthy in one way if it is not in another.

    A network of which everything was measured and nothing is wrong is called healthy.
    """
    kept = list(verdicts)
    for name in dict.fromkeys(r.arm for r in records if r.study == "model"):
        own = [
            v
            for v in kept
            if v.study == "model" and v.where.startswith((f"{name},", f"{name} "))
        ]
        if any(verdict.severity in ("fault", "warning") for verdict in own):
            kept = [v for v in kept if v not in own or v.kind != "healthy"]
        elif not any(v.severity == "well" for v in own):
            measured = select(
                records, study="model", arm=name, metric="log10_array_gradient_norm"
            )
            kept += [_healthy(name, measured)] if measured else []
    return kept


def _healthy(name: str, arrays: list[Record]) -> Verdict:
    count = len({record.place for record in arrays})
    return Verdict(
        kind="healthy",
        severity="well",
        where=f"{name}, before training",
        number=float(count),
        sentence=f"A gradient of a usual size reaches all {count} parameter arrays, "
        "and no fault was found.",
        remedy="Nothing needs to change. If this network still trains badly, look at "
        "the learning rate and the data first.",
    )


def _checked(records: Any) -> list[Record]:
    """Return the records as a list; raise a TypeError unless each is a `Record`."""
    wanted = (
        "wanted the `Record`s of one run, such as `flow_records(flow)` or "
        "`jaxnets.runs.records.read_records(path)`"
    )
    found = list_or_none(records)
    if found is None or isinstance(records, Record):
        raise TypeError(f"`records` is of type {type(records).__name__}; {wanted}.")
    for index, record in enumerate(found):
        if not isinstance(record, Record):
            kind = type(record).__name__
            raise TypeError(f"`records[{index}]` is of type {kind}; {wanted}.")
        for field, kinds in _NUMBERS.items():
            value = getattr(record, field)
            if not isinstance(value, kinds):
                raise TypeError(
                    f"`records[{index}].{field}` is {value!r}; wanted a number."
                )
    return found


def _study_verdicts(records: list[Record]) -> list[Verdict]:
    """Judge each study that has verdicts, by the function `judge` of its module."""
    found = []
    for study in STUDIES.values():
        if study.judged:
            name = f"jaxnets.gradflow.diagnosis.studies.{study.name}"
            judge = importlib.import_module(name).judge
            found += judge(select(records, study=study.name))
    return found
