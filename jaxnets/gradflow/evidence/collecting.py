"""`collect`: what the verdicts on a user's own network rest on, as records."""

from collections.abc import Callable, Iterable
from typing import Any

from jaxnets.arguments import as_count, check_callable
from jaxnets.gradflow.evidence.collector import Collector
from jaxnets.gradflow.evidence.networks import arguments_of, check_loss, networks
from jaxnets.gradflow.measurement import Flow
from jaxnets.runs.records import Record


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
    return collector.collect(models)


def collector_of(
    loss: Callable[..., Any],
    model_or_make: Any,
    batches: Iterable[Any],
    *,
    seeds: int,
    optimizer: Any,
    steps: int,
    classes: int | None,
    name: str,
) -> tuple[list[Any], Collector]:
    """Return the networks to measure and what measures them; see `collect`."""
    check_callable("loss", loss, "a function `loss(model, batch)`")
    steps = as_count(steps, "steps", minimum=0, meaning="the number of updates")
    check_optimizer(optimizer, steps)
    if classes is not None:
        classes = as_count(classes, "classes", minimum=2)
    arguments = arguments_of(tuple(batches))
    check_loss(loss, arguments[0])
    models = networks(model_or_make, seeds)
    alone = models[0] is model_or_make
    options = {"optimizer": optimizer, "steps": steps, "alone": alone}
    return models, Collector(
        loss, models[0], arguments, **options, classes=classes, name=name
    )


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
