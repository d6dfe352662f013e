"""The log of a tap: how it leaves the backward pass, and how it gets its name."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.tap.statistics import ResponseStats, TapStats, summarise_cotangents
from jaxnets.tap.trace import LogKey, outer_mesh_axes


class TapLog(NamedTuple):
    """The statistics of both passes at a tap.

    The compiler removes those that the caller does not use.

    Attributes:
        response: Statistics of the tapped array.
        cotangent: Statistics of its cotangent.
        shard_marker: Inside `shard_map` an array of shape `(1,)`, by which
            `logs_by_name` finds the axis of shards; otherwise None.
    """

    response: ResponseStats
    cotangent: TapStats
    shard_marker: Float[Array, "..."] | None


def make_logs(
    tapped: dict[str, tuple[ResponseStats, jax.Array]], batch_axes: int = 0
) -> dict[str, TapLog]:
    """Return the logs of taps whose cotangents are computed together.

    Args:
        tapped: Statistics of the tapped array and its cotangent, by `new_key`'s result.
        batch_axes: How many first axes of the cotangents come from `jax.vmap`.
    """
    cotangents = [cotangent for _, cotangent in tapped.values()]
    summaries = summarise_cotangents(cotangents, batch_axes)
    logs: dict[str, TapLog] = {}
    for (key, (response, cotangent)), summary in zip(
        tapped.items(), summaries, strict=True
    ):
        shards = _shard_count(cotangent)
        marker = None if shards == 1 else jnp.zeros(1)
        logs[f"{key}.{shards}"] = TapLog(response, summary, marker)
    return logs


def logs_in_order(logs: dict[LogKey, Any], linearized: Any) -> dict[LogKey, Any]:
    """Return the logs in the order in which the forward pass meets their taps.

    JAX returns logs without their order. The numbers in the keys have the order of the
    calls, with gaps, in one trace; but a function in JAX's cache has those of an
    earlier trace. The linearized program has the taps of all traces in their order.

    Args:
        logs: The logs of a backward pass.
        linearized: The linear program whose transpose it is, as a jaxpr.
    """
    places: dict[int, dict[int, int]] = {}
    last = 0
    for last, (number, recording) in enumerate(_marks(linearized), 1):
        places.setdefault(recording, {}).setdefault(number, last)

    def position(key: LogKey) -> tuple[int, int]:
        # Taps that are not visible come before a mark of `reverse_only`.
        numbers = places.get(key.recording, {})
        after = min((n for n in numbers if n >= key.number), default=None)
        return (last + 1 if after is None else numbers[after]), key.number

    return {key: logs[key] for key in sorted(logs, key=position)}


def _marks(jaxpr: Any) -> Iterator[tuple[int, int]]:
    """Yield the number and the recording of each key in a program, in order."""
    for equation in jaxpr.eqns:
        for name, value in equation.params.items():
            if name in ("key", "mark") and isinstance(value, str) and "#" in value:
                number, recording = value.rpartition("#")[2].split(".")
                yield int(number), int(recording)
            for part in value if isinstance(value, tuple | list) else [value]:
                if hasattr(part, "eqns"):
                    yield from _marks(part)


def logs_by_name(logs: dict[LogKey, TapLog]) -> dict[str, TapLog]:
    """Return the logs under the names of their taps, in the same order.

    The second tap of a name gets the name `name#2`, and so on.
    """
    named: dict[str, TapLog] = {}
    occurrences: Counter[str] = Counter()
    for key, log in logs.items():
        occurrences[key.name] += 1
        count = occurrences[key.name]
        name = key.name if count == 1 else f"{key.name}#{count}"
        named[name] = _with_shard_axis(log, key.shards)
    return named


def _with_shard_axis(log: TapLog, shards: int) -> TapLog:
    """Give the shards of `shard_map` an axis of their own.

    JAX concatenates the logs of the shards along their first axis. Scalars become
    `(shards,)`, which is right, but those of a loop become `(shards * time,)`. Outside
    a loop the marker, which has one axis from the start, keeps the number of its axes.
    Loops around the `shard_map` add axes before. The marker is the same on all shards,
    so JAX does not concatenate it, and the axis of shards is the first one whose sizes
    differ. With `check_vma=False` JAX concatenates everything, and the axis is taken to
    be the first one that can be divided.
    """
    shape = log.cotangent.norm.shape
    if log.shard_marker is None or log.shard_marker.ndim == len(shape):
        return log
    sizes = enumerate(zip(shape, log.shard_marker.shape, strict=False))
    differ = [a for a, (size, of_marker) in sizes if size != of_marker]
    divisible = [a for a, size in enumerate(shape) if size % shards == 0]
    axis = (differ or divisible)[0]
    split = (*shape[:axis], shards, shape[axis] // shards, *shape[axis + 1 :])
    return jax.tree.map(
        lambda values: values.reshape(split), log._replace(shard_marker=None)
    )


def _shard_count(x: jax.Array) -> int:
    """Return the number of shards of `x` in the `shard_map`s inside the loss."""
    mesh = jax.sharding.get_abstract_mesh()
    varying = lambda x: jax.typeof(x).mat.varying
    # With `check_vma=False` JAX does not know what varies, and all axes count.
    known = any(varying(jax.lax.axis_index(name)) for name in mesh.manual_axes)
    names = varying(x) if known else mesh.manual_axes
    inside = frozenset(names) - outer_mesh_axes()
    return math.prod(mesh.shape[name] for name in inside)
