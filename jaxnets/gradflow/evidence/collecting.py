"""`collect`: what the verdicts on a user's own network rest on, as records."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from jaxnets.arguments import as_count, check_callable
from jaxnets.gradflow.capture.changes import changes_loss
from jaxnets.gradflow.diagnosis.models.records import flow_records
from jaxnets.gradflow.evidence.arrays import array_numbers
from jaxnets.gradflow.evidence.networks import arguments_of, check_loss, networks
from jaxnets.gradflow.evidence.program import (
    Measured,
    Network,
    array_dtypes,
    as_model,
    as_network,
    as_objective,
    is_finite,
    loss_structure,
    make_step,
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
# The updates after which a part that starts at zero should have a gradient. Each zero
# in a row, such as a gate and the layer after it, takes one.
WAKING = 3
Step = Callable[[Network, tuple[Any, ...]], tuple[Measured, Network]]


def collect(
    loss: Callable[..., Any],
    model_or_make: Any,
    batches: Iterable[Any],
    *,
    seeds: int = 3,
    optimizer: Any = None,
    steps: int = 0,
    classes: int | None = None,
    name: str = "model",
) -> tuple[list[Record], list[Flow]]:
    """Measure networks before and, with `steps`, after training; return the records.

    The numbers of several batches are averaged for each seed, norms before their
    logarithm is taken. If one model is given instead of `make`, each batch counts as a
    seed, so that the verdicts have intervals over batches.

    Args:
        loss: `loss(model, *batch)` for a batch that is a tuple and `loss(model, batch)`
            for any other. It returns a scalar or `(scalar, aux)`.
        model_or_make: An `nnx.Module`, which is not changed, or `make(rngs)`.
        batches: The batches. Training takes one after the other, again and again.
        seeds: How many networks `make` makes.
        optimizer: An Optax transform. Without `steps` the size of its first update is
            measured, and nothing is trained.
        steps: How many updates to make.
        classes: The number of classes, for the verdict on the loss at the start.
        name: Name of the network in the records.

    Returns:
        The records of study `model`, and the flows before training: for each seed, one
        for each batch.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `seeds` or `steps` is out of range, or `steps` comes without an
            `optimizer`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> make = lambda rngs: nnx.Linear(2, 1, rngs=rngs)
        >>> loss = lambda model, x: jnp.mean(model(x) ** 2)
        >>> records, flows = collect(loss, make, [jnp.ones((4, 2))], seeds=2)
        >>> len(flows), [record.seed for record in records if record.metric == "loss"]
        (2, [0, 1])
    """
    check_callable("loss", loss, "a function `loss(model, batch)`")
    steps = as_count(steps, "steps", minimum=0, meaning="the number of updates")
    check_optimizer(optimizer, steps)
    if classes is not None:
        classes = as_count(classes, "classes", minimum=2)
    arguments = arguments_of(tuple(batches))
    check_loss(loss, arguments[0])
    models = networks(model_or_make, seeds)
    structure = loss_structure(loss, models[0], arguments[0])
    step = make_step(loss, optimizer)
    probes = make_probes(as_objective(loss), models[0], arguments[0])
    records: list[Record] = []
    flows: list[Flow] = []
    for seed, model in enumerate(models):
        network = as_network(model, optimizer)
        before = _measured(step, network, arguments)
        flows += [measured.flow for measured in before]
        woken = _woken(step, network, arguments, before)
        losses, network = _train(step, network, arguments, steps)
        after = {steps: _measured(step, network, arguments)} if steps else {}
        for moment, found in ({0: before} | after).items():
            rows = [_records(measured, structure, name, moment) for measured in found]
            alone = model is model_or_make
            records += _each_a_seed(rows) if alone else _mean(rows, seed)
        whole = records[-1]._replace(metric="loss", place="", position=None, seed=seed)
        records += [
            whole._replace(metric=WOKEN, place=place, value=value, step=0)
            for place, value in woken.items()
        ]
        # What is not finite is looked for in the batch that has it.
        finite = list(map(is_finite, before))
        batch = arguments[0 if all(finite) else finite.index(False)]
        records += probes(whole._replace(step=0), model, batch, all(finite))
        if steps:
            records += probes(whole, as_model(network), arguments[0], True)
        records += [
            whole._replace(step=number, value=float(loss))
            # The losses before the first update and after the last are there already.
            for number, loss in enumerate(losses)
            if number
        ]
    places = dict.fromkeys(r.place for r in records if r.metric == GRADIENT)
    whole = records[0]._replace(place="", position=None)
    records += structure_records(structure, list(places), whole)
    changed = changes_loss(loss, models[0], *arguments[0])
    return records + _of_all(whole, models[0], changed, classes), flows


def _of_all(
    whole: Record, model: Any, changed: bool, classes: int | None
) -> list[Record]:
    """Return the records that hold for the networks of all seeds."""
    found = [
        whole._replace(metric="dtype_bits", place=f"{path}|{dtype}", value=bits)
        for path, dtype, bits in array_dtypes(model)
    ]
    if changed:
        found.append(whole._replace(metric="changed_by_measuring", value=1.0))
    if classes is not None:
        found.append(whole._replace(metric="classes", value=float(classes)))
    return found


def check_optimizer(optimizer: Any, steps: int) -> None:
    """Raise an error unless `optimizer` is an Optax transform, or None without steps.

    Raises:
        TypeError: If it is something else.
        ValueError: If there are `steps` and no optimiser.
    """
    if optimizer is None:
        if steps:
            raise ValueError(
                f"`steps` is {steps} and `optimizer` is None; wanted the Optax "
                "transform that the network is trained with, such as "
                "`optimizer=optax.adam(1e-3)`."
            )
    elif not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            f"`optimizer` is of type {type(optimizer).__name__}; wanted an Optax "
            "transform, such as `optax.adam(1e-3)`."
        )


def _measured(
    step: Step, network: Network, arguments: list[tuple[Any, ...]]
) -> list[Measured]:
    """Measure a network on every batch."""
    return [step(network, args)[0] for args in arguments]


def _woken(
    step: Step,
    network: Network,
    arguments: list[tuple[Any, ...]],
    before: list[Measured],
) -> dict[str, float]:
    """Return log10 of the largest gradient after a few updates, of some arrays.

    These are the arrays whose gradient is exactly zero before the first update. Behind
    a part that starts at zero it is zero at first, and not after.
    """
    asleep = {
        place
        for place in before[0].arrays
        if all(measured.arrays[place].gradient == 0 for measured in before)
    }
    largest = dict.fromkeys(asleep, -np.inf)
    for _ in range(WAKING if asleep else 0):
        _, network = step(network, arguments[0])
        measured, _ = step(network, arguments[0])
        with np.errstate(divide="ignore"):
            for place in asleep:
                norm = np.log10(np.float64(measured.arrays[place].gradient))
                largest[place] = max(largest[place], float(norm))
    return largest


def _train(
    step: Step, network: Network, arguments: list[tuple[Any, ...]], steps: int
) -> tuple[list[Any], Network]:
    """Return the loss before each update, and the network after the last."""
    losses = []
    for number in range(steps):
        measured, network = step(network, arguments[number % len(arguments)])
        losses.append(measured.flow.value)
    return losses, network


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
