"""What measures a user's own networks, from the arguments of `diagnose`."""

from collections.abc import Callable, Iterable
from typing import Any

from jaxnets.arguments import as_count, check_callable
from jaxnets.gradflow.evidence.collector import Collector
from jaxnets.gradflow.evidence.networks import arguments_of, check_loss, networks


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
    """Return the networks to measure and what measures them.

    Args:
        loss: As for `diagnose`, as are the other arguments.
        model_or_make: If it is one model, each batch counts as a seed, so that the
            verdicts have intervals over batches.
        batches: The numbers of several batches are averaged for each seed.
        seeds: How many networks `make` makes.
        optimizer: Without `steps` the size of its first update is measured.
        steps: How many updates to make.
        classes: The number of classes, for the verdict on the loss at the start.
        name: Name of the network in the records.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `seeds` or `steps` is out of range, or `steps` comes without an
            `optimizer`.
    """
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
