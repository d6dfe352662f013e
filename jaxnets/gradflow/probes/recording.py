"""`make_probes`: the answers of all probes as records."""

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.gradflow.probes.custom import custom_calls
from jaxnets.gradflow.probes.forward import forward_numbers
from jaxnets.gradflow.probes.padding import padding_share
from jaxnets.gradflow.program import first_nonfinite
from jaxnets.gradflow.program.tracing import arguments_of_trace, trace_loss
from jaxnets.runs.records import Record


def make_probes(
    loss: Callable[..., Any], model: Any, args: tuple[Any, ...]
) -> Callable[[Record, Any, tuple[Any, ...], bool], list[Record]]:
    """Trace a loss, and return `probes(whole, model, args, finite)`, for records.

    The loss is traced and the forward probe compiled once for all networks of one
    structure. Derivatives of the user's own and padding are looked at in the first
    network only, because they hardly depend on its seed. What makes numbers that are
    not finite is looked for in the first network that has some.

    Args:
        loss: `loss(model, *args)` that returns `(scalar, aux)`.
        model: A model.
        args: A batch, as arguments of the loss.

    Returns:
        A function of a record, whose arm, seed and step the new ones get, of a model
        and a batch, and of whether all is finite there. Its records have the metrics
        `dead_share`, `off_share`, `flat_share`, `effective_rank`, `distinct_share`,
        `unit_distinct_share`, `backward_error`, `surrogate_error`, `padding_share` and
        `nonfinite_origin`.
    """
    traced = trace_loss(loss, model, args, True)
    # JAX sorts a `dict` by its keys. The order of the forward pass says what is first.
    forward = jax.jit(
        lambda arguments: OrderedDict(forward_numbers(traced.jaxpr, arguments))
    )
    calls = itertools.count()
    origins: list[Record] = []

    def probes(
        whole: Record, model: Any, args: tuple[Any, ...], finite: bool
    ) -> list[Record]:
        arguments = arguments_of_trace(model, args)
        whole = whole._replace(position=None)
        found = [
            whole._replace(metric=metric, place=place, value=float(value))
            for (metric, place), value in forward(arguments).items()
            # Arrays that are zero, or not finite, have no direction.
            if jnp.isfinite(value)
        ]
        if not (finite or origins):
            origins.extend(_origin(whole, loss, model, args))
            found += origins
        if next(calls):
            return found
        for call in custom_calls(traced.jaxpr, arguments):
            metric = "surrogate_error" if call.surrogate else "backward_error"
            place = f"{call.after}|{call.function}"
            found.append(whole._replace(metric=metric, place=place, value=call.error))
        first = len(traced.params) + traced.others
        share = padding_share(traced.jaxpr, arguments, first)
        if share is not None:
            found.append(whole._replace(metric="padding_share", place="", value=share))
        return found

    return probes


def _origin(
    whole: Record, loss: Callable[..., Any], model: Any, args: tuple[Any, ...]
) -> list[Record]:
    """Return at most one record: which operation makes the first NaN or infinity.

    Its place is `tap|operation|file:line`, and its value is 1 for the backward pass.
    """
    found = first_nonfinite(loss, model, *args, has_aux=True)
    if found is None:
        return []
    place = f"{found.after}|{found.primitive}|{found.where}"
    metric, value = "nonfinite_origin", float(found.backward)
    return [whole._replace(metric=metric, place=place, position=None, value=value)]
