"""`diagnose`: what is wrong with a network, in one call."""

import html
import importlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.gradflow.diagnosis import Verdict, verdicts
from jaxnets.gradflow.evidence.collecting import collector_of
from jaxnets.gradflow.evidence.remedies import Trials, with_remedy
from jaxnets.gradflow.measurement import Flow
from jaxnets.runs.files import json_text
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.records import Record


SEVERITIES = ("fault", "warning", "note", "well")


class Diagnosis(NamedTuple):
    """What `diagnose` found. In a notebook it shows its verdicts.

    Attributes:
        verdicts: What the numbers mean, in words.
        records: The measured numbers, one in each record.
        flows: What was measured before training: for each seed, one `Flow` for each
            batch.
    """

    verdicts: list[Verdict]
    records: list[Record]
    flows: list[Flow]

    @property
    def ok(self) -> bool:
        """Whether no verdict has the severity `fault`."""
        return all(verdict.severity != "fault" for verdict in self.verdicts)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the page, the records and the verdicts into a new folder.

        It becomes the folder of a run: `jaxnets report FOLDER` draws the page again.

        Args:
            folder: A folder that does not exist yet, or is empty.

        Raises:
            FileExistsError: If the folder is not empty.
            OSError: If a file cannot be written.
            TypeError: If `folder` is not a path.
        """
        found = [verdict._asdict() for verdict in self.verdicts]
        RunFolder(folder).create_with(self.records, found)
        # The report draws what this package measures and is on a higher floor, so it
        # is imported only when a page is wanted.
        report = importlib.import_module("jaxnets.report")
        return report.write_report(folder)

    def to_json(self) -> str:
        """Return `ok` and the verdicts as JSON, with null for NaN and infinity."""
        found = [verdict._asdict() for verdict in self.verdicts]
        return json_text({"ok": self.ok, "verdicts": found})

    def __repr__(self) -> str:
        """Return the verdicts in words; the numbers would fill pages."""
        lines = [f"Diagnosis(ok={self.ok})"]
        for verdict in self.verdicts:
            lines.append(f"{verdict.severity}: {verdict.kind} ({verdict.where})")
            lines += [f"  {title}{text}" for title, text in _parts(verdict)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the verdicts as the HTML that a notebook shows."""
        rows = []
        for verdict in self.verdicts:
            head = html.escape(f"{verdict.severity}: {verdict.kind}")
            parts = "".join(
                f"<br>{html.escape(title + text)}" for title, text in _parts(verdict)
            )
            where = html.escape(verdict.where)
            rows.append(f"<li><strong>{head}</strong> ({where}){parts}</li>")
        return f"<ul>{''.join(rows)}</ul>"


def _parts(verdict: Verdict) -> list[tuple[str, str]]:
    """Return the titles and texts of a verdict that `jaxnets check` prints too."""
    remedy = verdict.remedy if verdict.severity != "well" else ""
    parts = [
        ("", verdict.sentence),
        ("Cause: ", verdict.cause),
        ("What to do: ", remedy),
        ("Measured again: ", verdict.tried),
    ]
    return [(title, text) for title, text in parts if text]


def diagnose(
    loss: Callable[..., Any],
    model_or_make: Any,
    *batches: Any,
    seeds: int = 3,
    optimizer: Any = None,
    steps: int = 0,
    classes: int | None = None,
    name: str = "model",
) -> Diagnosis:
    """Measure a network, and say in words whether its gradients let it train.

    Any Flax NNX model is measured without edits, and for several seeds if a function
    makes it. Nothing is trained unless `steps` is given. The model itself is not
    changed.

    Where a fault or a warning has a remedy that needs no edit of the model (another
    initialiser, ReLU in place of sigmoid or tanh, shortcuts around the layers, the bias
    of a gate, orthogonal recurrent weights; with `steps` another learning rate or
    clipping), it is applied to a copy of the first network, and the number is measured
    again on the first batch: `Verdict.after`, `Verdict.tried`. A remedy that does not
    help is not recommended.

    Args:
        loss: `loss(model, *batch)` for a batch that is a tuple and `loss(model, batch)`
            for any other. It returns a scalar or `(scalar, aux)`.
        model_or_make: An `nnx.Module`, or a function `make(rngs)` that returns one.
            With a function, intervals are over `seeds` networks; with one model, over
            batches.
        *batches: One or several batches, whose arrays have equal shapes. The numbers
            are averaged over them.
        seeds: How many networks `make` makes.
        optimizer: The Optax transform that the network is trained with. It shows how
            far the first update moves each array, even without `steps`.
        steps: How many updates to make between the first and the last measurement.
        classes: The number of classes, if the loss is a cross-entropy in nats. The loss
            at the start is then compared with `ln(classes)`.
        name: Name of the network in the verdicts.

    Returns:
        `Diagnosis(verdicts, records, flows)`.

    Raises:
        TypeError: If an argument has the wrong type, or `loss` returns no scalar.
        ValueError: If `seeds` or `steps` is out of range, or `steps` comes without an
            `optimizer`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets.gradflow import diagnose
        >>> def make(rngs):
        ...     layers = [nnx.Linear(8, 8, rngs=rngs) for _ in range(16)]
        ...     return nnx.Sequential(*(f for n in layers for f in (n, nnx.sigmoid)))
        >>> def loss(model, x):
        ...     return jnp.mean(model(x) ** 2)
        >>> diagnosis = diagnose(loss, make, jnp.ones((4, 8)))
        >>> diagnosis.ok, diagnosis.verdicts[0].kind
        (False, 'vanishing')
    """
    models, collector = collector_of(
        loss,
        model_or_make,
        batches,
        seeds=seeds,
        optimizer=optimizer,
        steps=steps,
        classes=classes,
        name=name,
    )
    records, flows = collector.collect(models)
    trials = Trials(collector, models[0], records)
    found = [with_remedy(verdict, trials) for verdict in verdicts(records)]
    return Diagnosis(by_severity(found), records, flows)


def by_severity(found: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts with the faults first, and otherwise in their order.

    Example:
        >>> well, fault = (Verdict("", s, "", 0.0, "") for s in ("well", "fault"))
        >>> [verdict.severity for verdict in by_severity([well, fault])]
        ['fault', 'well']
    """
    return sorted(found, key=lambda verdict: SEVERITIES.index(verdict.severity))
