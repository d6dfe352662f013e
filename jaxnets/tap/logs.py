"""The log of a tap: how it leaves the backward pass, and how it gets its name."""

import math
from collections import Counter
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.tap.statistics import ResponseStats, TapStats, summarise_cotangents
from jaxnets.tap.trace import LogKey


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


def make_logs(tapped: dict[str, tuple[ResponseStats, jax.Array]]) -> dict[str, TapLog]:
    """Return the logs of taps whose cotangents are computed together.

    Args:
        tapped: Statistics of the tapped array and its cotangent, by `new_key`'s result.
    """
    summaries = summarise_cotangents(*(cotangent for _, cotangent in tapped.values()))
    logs: dict[str, TapLog] = {}
    for (key, (response, cotangent)), summary in zip(
        tapped.items(), summaries, strict=True
    ):
        shards = _shard_count(cotangent)
        marker = None if shards == 1 else jnp.zeros(1)
        logs[f"{key}.{shards}"] = TapLog(response, summary, marker)
    return logs


def logs_by_name(logs: dict[LogKey, TapLog]) -> dict[str, TapLog]:
    """Return the logs in the order of the forward pass, under the names of their taps.

    The second tap of a name gets the name `name#2`, and so on. JAX may trace the body
    of a loop several times and keep the last trace, so the numbers in the keys have
    gaps: only their order has a meaning.
    """
    named: dict[str, TapLog] = {}
    occurrences: Counter[str] = Counter()
    for key in sorted(logs, key=lambda key: key.number):
        occurrences[key.name] += 1
        count = occurrences[key.name]
        name = key.name if count == 1 else f"{key.name}#{count}"
        named[name] = _with_shard_axis(logs[key], key.shards)
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
    """Return the number of shards of `x` in the enclosing `shard_map`."""
    mesh = jax.sharding.get_abstract_mesh()
    varying = lambda x: jax.typeof(x).mat.varying
    # With `check_vma=False` JAX does not know what varies, and all axes count.
    known = any(varying(jax.lax.axis_index(name)) for name in mesh.manual_axes)
    names = varying(x) if known else mesh.manual_axes
    return math.prod(mesh.shape[name] for name in names)
