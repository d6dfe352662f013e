"""`Collector`: measures the networks of one structure, and makes records."""

import copy
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxnets.gradflow.capture.changes import changes_loss
from jaxnets.gradflow.diagnosis.models.records import flow_records
from jaxnets.gradflow.evidence.arrays import array_numbers
from jaxnets.gradflow.evidence.curvature import (
    Sharpness,
    make_sharpness,
    noise_records,
    sharpness_records,
)
from jaxnets.gradflow.evidence.program import (
    Measured,
    array_dtypes,
    as_model,
    as_network,
    as_objective,
    is_finite,
    loss_structure,
    make_step,
)
from jaxnets.gradflow.evidence.steps import (
    losses_along_gradient,
    measured_on,
    trained,
    woken_arrays,
)
from jaxnets.gradflow.evidence.structure import (
    arranged,
    layer_patterns,
    structure_records,
)
from jaxnets.gradflow.measurement import Flow
from jaxnets.gradflow.probes import make_probes
from jaxnets.gradflow.program import Structure
from jaxnets.runs.records import Record


GRADIENT = "log10_gradient_norm"
WOKEN = "log10_woken_gradient_norm"
FALLS = "loss_along_gradient"


class Collector:
    """A loss that is traced and compiled once, for networks of one structure.

    Args:
        loss: The loss.
        model: A network.
        arguments: For each batch the arguments of the loss after the model.
        optimizer: The Optax transform, or None.
        steps: How many updates to make.
        alone: Whether there is one network, so that each batch counts as a seed.
        classes: The number of classes, if it is known.
        name: Name of the network in the records.
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        model: Any,
        arguments: list[tuple[Any, ...]],
        *,
        optimizer: Any = None,
        steps: int = 0,
        alone: bool = False,
        classes: int | None = None,
        name: str = "model",
    ):
        self.loss = loss
        self.arguments = arguments
        self.optimizer = optimizer
        self.steps = steps
        self.alone = alone
        self.classes = classes
        self.name = name
        self.changed = changes_loss(loss, model, *arguments[0])
        self.sharpness: Sharpness | None = make_sharpness(loss)
        self.structure = loss_structure(loss, model, arguments[0])
        self.step = make_step(loss, optimizer)
        self.probes = make_probes(as_objective(loss), model, arguments[0])

    def trained_by(self, optimizer: Any) -> "Collector":
        """Return a collector with another optimiser; only its step is compiled anew."""
        other = copy.copy(self)
        other.optimizer = optimizer
        other.step = make_step(self.loss, optimizer)
        return other

    def collect(self, models: Sequence[Any]) -> tuple[list[Record], list[Flow]]:
        """Return the records of some networks, and the flows before training."""
        records: list[Record] = []
        flows: list[Flow] = []
        for seed, model in enumerate(models):
            found, before = self._network(model, seed)
            records += found
            flows += before
        places = dict.fromkeys(r.place for r in records if r.metric == GRADIENT)
        whole = records[0]._replace(place="", position=None)
        records += structure_records(self.structure, list(places), whole)
        records += [
            whole._replace(metric="dtype_bits", place=f"{path}|{dtype}", value=bits)
            for path, dtype, bits in array_dtypes(models[0])
        ]
        if self.changed:
            records.append(whole._replace(metric="changed_by_measuring", value=1.0))
        if self.classes is not None:
            records.append(whole._replace(metric="classes", value=float(self.classes)))
        return records, flows

    def before(self, model: Any) -> list[Record]:
        """Return the records of one network and the first batch, without training."""
        other = copy.copy(self)
        other.steps = 0
        other.arguments = self.arguments[:1]
        return other.after(model)

    def at(self, model: Any, step: int) -> list[Record]:
        """Return what one measurement of a network and the first batch gives.

        Before training, at step 0, there is also what only has to be known once: the
        structure, the probes, and which arrays wake up.
        """
        if step == 0:
            return self.before(model)
        network = as_network(model, self.optimizer)
        (found,) = measured_on(self.step, network, self.arguments[:1])
        return _records(found, self.structure, self.name, step)

    def after(self, model: Any) -> list[Record]:
        """Return the records of one network, of all steps and the first seed."""
        other = copy.copy(self)
        other.alone = False
        other.sharpness = None
        return other.collect([model])[0]

    def _network(self, model: Any, seed: int) -> tuple[list[Record], list[Flow]]:
        """Return the records of one network, and its flows before training."""
        step, arguments, steps = self.step, self.arguments, self.steps
        network = as_network(model, self.optimizer)
        before = measured_on(step, network, arguments)
        woken = woken_arrays(step, network, arguments, before)
        falls = losses_along_gradient(step, network, arguments, before)
        losses, network = trained(step, network, arguments, steps)
        after = {steps: measured_on(step, network, arguments)} if steps else {}
        records: list[Record] = []
        for moment, found in ({0: before} | after).items():
            rows = [_records(m, self.structure, self.name, moment) for m in found]
            records += _each_a_seed(rows) if self.alone else _mean(rows, seed)
        whole = records[-1]._replace(metric="loss", place="", position=None, seed=seed)
        records += [
            whole._replace(metric=WOKEN, place=place, value=value, step=0)
            for place, value in woken.items()
        ]
        records += [
            whole._replace(metric=FALLS, position=n, value=value, step=0)
            for n, value in enumerate(falls)
        ]
        # What is not finite is looked for in the batch that has it.
        finite = list(map(is_finite, before))
        batch = arguments[0 if all(finite) else finite.index(False)]
        records += self.probes(whole._replace(step=0), model, batch, all(finite))
        start = whole._replace(step=0)
        records += noise_records(before, arguments[0], start)
        # Its program costs about as much as that of the gradient, so once is enough.
        if self.sharpness is not None and seed == 0:
            first = as_network(model, self.optimizer)
            for at, where, found in (
                (first, start, before),
                *([(network, whole, after[steps])] if steps else []),
            ):
                records += sharpness_records(
                    self.sharpness, at, arguments[0], found[0], where
                )
        if steps:
            records += self.probes(whole, as_model(network), arguments[0], True)
        records += [
            whole._replace(step=number, value=float(loss))
            # The losses before the first update and after the last are there already.
            for number, loss in enumerate(losses)
            if number
        ]
        return records, [measured.flow for measured in before]


def _records(
    measured: Measured, structure: Structure, name: str, step: int
) -> list[Record]:
    """Return the records of one network and one batch."""
    flow = arranged(measured.flow, structure)
    stacks = layer_patterns(structure)
    records = flow_records(flow, name=name, step=step, stacks=stacks)
    whole = records[0]._replace(place="", position=None)
    return records + [
        whole._replace(metric=metric, place=place, value=value)
        for metric, place, value in array_numbers(measured.arrays)
    ]


def _each_a_seed(rows: list[list[Record]]) -> list[Record]:
    """Return the records of several batches, each as a seed of its own."""
    return [r._replace(seed=seed) for seed, found in enumerate(rows) for r in found]


def _mean(rows: list[list[Record]], seed: int) -> list[Record]:
    """Return the records of one seed, with the mean of each number over batches."""
    values: defaultdict[Record, list[float]] = defaultdict(list)
    for record in itertools.chain(*rows):
        values[record._replace(seed=seed, value=0.0)].append(record.value)
    return [
        record._replace(value=_average(record.metric, found))
        for record, found in values.items()
    ]


def _average(metric: str, values: list[float]) -> float:
    """Return a mean; that of logarithms is the logarithm of the mean."""
    if not metric.startswith("log10_"):
        return float(np.mean(values))
    with np.errstate(divide="ignore"):
        return float(np.log10(np.mean(np.power(10.0, values))))
