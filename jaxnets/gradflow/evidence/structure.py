"""The structure of a loss, in flows and in records."""

import glob
import itertools
import re
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow.measurement import Flow
from jaxnets.gradflow.program import Structure
from jaxnets.runs.records import Record


# The codes of the reasons for which no gradient reaches a parameter.
REASONS = ("unused", "stop_gradient", "step function", "integer", "target")
# How a statistic is joined over examples; the others are means.
_JOINED = {"norm": np.linalg.norm, "max_abs": np.max}


def arranged(flow: Flow, structure: Structure) -> Flow:
    """Return a flow whose statistics have the axes that they are judged along.

    Calls of a module in a Python loop over time become one tap with a time axis, as in
    a scan. The statistics over a `vmap` are joined: the norm is that of all examples.

    Args:
        flow: What `measure_module` returned.
        structure: The structure of its loss.

    Returns:
        The flow; its taps keep the order of the forward pass.
    """
    return flow._replace(
        taps=_arranged(flow.taps, structure),
        responses=_arranged(flow.responses, structure),
    )


def layer_patterns(structure: Structure) -> list[str]:
    """Return the patterns of the taps whose first axis counts layers."""
    return [
        glob.escape(_base(tap))
        for tap, axis in structure.axes.items()
        if axis == "layers"
    ]


def structure_records(
    structure: Structure, places: Sequence[str], whole: Record
) -> Iterator[Record]:
    """Yield the chains of taps, the activations, and what no gradient can reach.

    A record `chain` has the number of the chain as its value, and the position of the
    place in it. A record `activation` has the place `tap|relu`, or that of the layer
    before the activation if the tap is that of a module around both; and a record
    `squashed_twice` the place `softmax|file:line`. A record `may_be_flat` has the place
    of an activation in the other records and the reason. A record `blocked` has
    the place `path|reason|file:line`, and its value is the position of the reason in
    `REASONS`.

    Args:
        structure: The structure of the loss.
        places: The places of the records along depth, in the order of the forward pass.
        whole: A record whose arm, seed and step the new ones get.
    """
    for number, chain in enumerate(structure.chains):
        entries = [
            tap for tap in chain if structure.axes.get(tap, "layers") == "layers"
        ]
        for position, place in enumerate(_layers(entries, places)):
            yield whole._replace(
                metric="chain", place=place, position=position, value=float(number)
            )
    over_time = {tap for tap, axis in structure.axes.items() if axis == "time"}
    activations: dict[str, None] = {}
    for tap, kind in structure.activations.items():
        activations[f"{_base(tap) if tap in over_time else tap}|{kind}"] = None
        sources = structure.sources.get(_base(tap), ())
        # A module that returns an activation of a layer inside it, which the chain has.
        if len(sources) == 1 and sources[0].startswith(f"{_base(tap)}/"):
            activations[f"{sources[0]}|{kind}"] = None
    for place in activations:
        yield whole._replace(metric="activation", place=place, position=None, value=1.0)
    for tap, why in structure.may_be_flat.items():
        kind = structure.activations[tap]
        # The place is that of the tap before the activation, or the added one after it.
        number = tap[len(_base(tap)) :]
        for before in (_base(tap), *structure.sources.get(_base(tap), ())):
            ends = before.rpartition("/")[2] == kind
            place = f"{before if ends else f'{before}/{kind}'}{number}"
            yield whole._replace(
                metric="may_be_flat", place=f"{place}|{why}", position=None, value=1.0
            )
    for kind, line in structure.squashed:
        place = f"{kind}|{line}"
        yield whole._replace(
            metric="squashed_twice", place=place, position=None, value=1.0
        )
    for path, why in structure.blocked.items():
        yield whole._replace(
            metric="blocked",
            place=f"{path}|{why.reason}|{why.where}",
            position=None,
            value=float(REASONS.index(why.reason)),
        )


def _layers(chain: Sequence[str], places: Sequence[str]) -> list[str]:
    """Return the places of a chain; the taps of a scanned stack take turns.

    Example:
        >>> _layers(["in", "a", "b"], ["in", "a[0]", "a[1]", "b[0]", "b[1]"])
        ['in', 'a[0]', 'b[0]', 'a[1]', 'b[1]']
    """
    of_tap = {
        tap: [
            p
            for p in places
            if p == tap or re.fullmatch(re.escape(tap) + r"\[\d+\]", p)
        ]
        for tap in chain
    }
    found: list[str] = []
    for _, taps in itertools.groupby(chain, key=lambda tap: len(of_tap[tap])):
        for turn in zip(*(of_tap[tap] for tap in taps), strict=True):
            found += turn
    return found


def _arranged(stats: dict[str, Any], structure: Structure) -> dict[str, Any]:
    calls: defaultdict[str, list[Any]] = defaultdict(list)
    for tap, values in stats.items():
        axis = structure.axes.get(tap)
        # A tap in a scan over time has an axis already.
        unrolled = axis == "time" and not jnp.ndim(values.max_abs)
        name = _base(tap) if unrolled else tap
        joined = axis == "vmap" and jnp.ndim(values.max_abs)
        calls[name].append(_over_examples(values) if joined else values)
    # jit returns the keys of a plain dict in alphabetical order.
    return OrderedDict(
        (name, each[0] if len(each) == 1 else jax.tree.map(_stacked, *each))
        for name, each in calls.items()
    )


def _stacked(*values: Any) -> np.ndarray:
    return np.stack(values)


def _over_examples(stats: Any) -> Any:
    """Return statistics over all examples of a `vmap`, whose axis is the first."""
    return stats._replace(
        **{
            name: _JOINED.get(name, np.mean)(np.asarray(values), axis=0)
            for name, values in stats._asdict().items()
        }
    )


def _base(tap: str) -> str:
    """Return the name of a tap without the number of the call."""
    return tap.partition("#")[0]
