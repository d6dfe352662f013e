"""`probe_records`: the answers of all probes as records."""

from collections.abc import Callable
from typing import Any

import jax

from jaxnets.gradflow.probes.custom import custom_calls
from jaxnets.gradflow.probes.forward import forward_numbers
from jaxnets.gradflow.probes.padding import padding_share
from jaxnets.gradflow.program.tracing import Traced
from jaxnets.runs.records import Record


def make_probe(traced: Traced) -> Callable[[Any], Any]:
    """Return the compiled forward probe of a traced loss, for networks alike.

    Args:
        traced: What `trace_loss` returned.
    """
    return jax.jit(lambda arguments: forward_numbers(traced.jaxpr, arguments))


def probe_records(
    traced: Traced, whole: Record, probe: Callable[[Any], Any], *, deep: bool = True
) -> list[Record]:
    """Return what the probes find in one network and one batch.

    Args:
        traced: What `trace_loss` returned for them.
        whole: A record whose arm, seed and step the new ones get.
        probe: What `make_probe` returned for a network of this structure.
        deep: Whether to look at derivatives and padding, which seeds hardly change.

    Returns:
        Records of the metrics `dead_share`, `zero_share`, `saturated_share`,
        `effective_rank`, `distinct_share`, `backward_error` and `padding_share`.
    """
    found = [
        whole._replace(metric=metric, place=place, position=None, value=float(value))
        for (metric, place), value in probe(traced.arguments).items()
    ]
    if not deep:
        return found
    for call in custom_calls(traced.jaxpr, traced.arguments):
        metric = "surrogate_error" if call.surrogate else "backward_error"
        place = f"{call.after}|{call.function}"
        found.append(whole._replace(metric=metric, place=place, value=call.error))
    first = len(traced.params) + traced.others
    share = padding_share(traced.jaxpr, traced.arguments, first)
    if share is not None:
        found.append(whole._replace(metric="padding_share", place="", value=share))
    return found
