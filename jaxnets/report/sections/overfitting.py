"""The study of overfitting: networks without and with dropout."""

from collections import defaultdict

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.intervals import number
from jaxnets.report.sections.section import (
    Column,
    Headline,
    Section,
    Spots,
    Table,
    as_bounded,
    as_interval,
    as_percent,
    as_size,
    make_section,
    make_table,
)
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.folder import Run
from jaxnets.runs.intervals import NOT_NEGATIVE, SHARE, SIGNED_SHARE
from jaxnets.runs.records import Record
from jaxnets.runs.selection import at_end, of_metric


def draw(run: Run) -> Section:
    """Return the section of the study `overfitting`."""
    records = run.of_study("overfitting")
    plots: list[tuple[Plot, Spots]] = [
        (_LOSS, _by_role(of_metric(records, "train_loss", "validation_loss"))),
        (
            _ACCURACY,
            _by_role(of_metric(records, "train_accuracy", "validation_accuracy")),
        ),
        (_GAP, _by_step(_gaps(records, "loss", sign=1))),
    ]
    return make_section(
        "overfitting",
        "How much worse does a network do on new examples than on its training "
        "examples, and how much of that gap does dropout close?",
        plots,
        _table(records),
        {record.family for record in records},
        _headline(at_end(_gaps(records, "loss", sign=1))),
    )


def _headline(gaps: list[Record]) -> Headline | None:
    """Contrast the gap in loss at the end of training without and with dropout."""
    means = {
        name: over_seeds(r for r in gaps if r.family == name)
        for name in STUDIES["overfitting"].families
    }
    found = {name: mean.mean for name, mean in means.items() if mean}
    if not found:
        return None
    (first, gap), *others = found.items()
    sentence = (
        f"is the gap between validation and training loss with {first}"
        + "".join(f", {number(other, 2)} with {name}" for name, other in others)
    )
    return Headline(f"{number(gap, 2)} nats", f"{sentence}.", _LOSS.name, first)


def _by_role(records: list[Record]) -> Spots:
    for record in records:
        role = "training" if record.metric.startswith("train_") else "validation"
        yield record, Spot(float(record.step), "", role)


def _by_step(records: list[Record]) -> Spots:
    for record in records:
        yield record, Spot(float(record.step))


def _gaps(records: list[Record], quantity: str, sign: int) -> list[Record]:
    """Return `sign` times validation minus training, for each seed and step."""
    pairs = defaultdict(dict)
    for record in of_metric(records, f"train_{quantity}", f"validation_{quantity}"):
        pairs[record.arm, record.seed, record.step][record.metric] = record
    found = []
    for pair in pairs.values():
        if len(pair) == 2:
            train = pair[f"train_{quantity}"]
            gap = pair[f"validation_{quantity}"].value - train.value
            found.append(train._replace(metric=f"{quantity}_gap", value=sign * gap))
    return found


_LOSS = Plot(
    "losses",
    "Loss on training and validation examples",
    "Overfitting begins where the dashed line (examples that the network never sees) "
    "rises while the solid one falls.",
    Axes("updates", "loss (nats)", bounds=NOT_NEGATIVE),
)
_ACCURACY = Plot(
    "accuracies",
    "Accuracy on training and validation examples",
    "The distance between the two lines of one colour was learnt by heart.",
    Axes("updates", "accuracy", bounds=SHARE, share=True),
)
_GAP = Plot(
    "gap",
    "The gap: validation loss minus training loss",
    "0: as good on new examples as on old ones. A network whose line rises overfits.",
    Axes("updates", "gap (nats)"),
)


def _table(records: list[Record]) -> Table | None:
    last = at_end(records)
    losses = [
        Column(title, of_metric(last, metric), as_size)
        for title, metric in (
            ("Training loss", "train_loss"),
            ("Validation loss", "validation_loss"),
        )
    ]
    accuracies = [
        Column(title, of_metric(last, metric), as_percent)
        for title, metric in (
            ("Training accuracy", "train_accuracy"),
            ("Validation accuracy", "validation_accuracy"),
            ("Test accuracy", "test_accuracy"),
        )
    ]
    gaps = [
        Column("Gap in loss", at_end(_gaps(records, "loss", 1)), as_interval),
        Column("Gap in accuracy", at_end(_gaps(records, "accuracy", -1)), _as_gap),
    ]
    return make_table(
        "overfitting",
        "Mean and interval over seeds, at the end of training. The gap is how much "
        "worse the network is on validation examples than on training examples.",
        "Dropout rate",
        records,
        [*losses, gaps[0], *accuracies[:2], gaps[1], *accuracies[2:]],
    )


def _as_gap(records: list[Record]) -> str:
    """Write a difference of shares, which can be negative."""
    return as_bounded(records, SIGNED_SHARE, share=True)
