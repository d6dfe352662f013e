"""What a monitor measures in a step, and how it leaves the compiled program."""

import dataclasses
import math
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow.diagnosis.models.records import flow_records
from jaxnets.gradflow.evidence.arrays import array_numbers, array_stats
from jaxnets.gradflow.measurement import Flow
from jaxnets.gradflow.monitoring.stages import nonfinite_share, nonfinite_stage
from jaxnets.runs.records import Record
from jaxnets.tap import TapStats


class Numbers(NamedTuple):
    """The numbers of one step: arrays inside the program, then NumPy arrays.

    Attributes:
        loss: The loss.
        inputs: Share of the numbers in the batch that are not finite.
        arrays: `ArrayStats` of each parameter, by its path.
        norms: Norm of the cotangent at each tap; empty if the taps were not measured.
        broken: 1 where an output at the tap is not finite, otherwise 0.
    """

    loss: Any
    inputs: Any
    arrays: dict[str, Any]
    norms: dict[str, Any]
    broken: dict[str, Any]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Packed:
    """`Numbers` as one array, whose transfer takes about as long as that of one number.

    Attributes:
        array: All numbers, one after the other.
        step: Number of the step; None if the host counts.
        measured: Whether the numbers were measured in this step; None if in every one.
        structure: The structure of the numbers.
        shapes: Their shapes.
    """

    array: Any
    step: Any
    measured: Any
    structure: Any = dataclasses.field(metadata={"static": True})
    shapes: tuple[tuple[int, ...], ...] = dataclasses.field(metadata={"static": True})


def numbers_of(flow: Flow, params: Any, batch: Any) -> Numbers:
    """Return the numbers of a measured step with these parameters and this batch."""
    norms = OrderedDict((name, stats.norm) for name, stats in flow.taps.items())
    # The mean is not finite either, and costs less than counting in every step.
    broken = OrderedDict(
        (name, (~jnp.isfinite(stats.mean)).astype(jnp.float32))
        for name, stats in flow.responses.items()
    )
    # What no record has is not computed.
    arrays = OrderedDict(
        (name, stats._replace(zeros=None))
        for name, stats in array_stats(params, flow.grads).items()
    )
    gradients = jnp.stack([flow.value, *(array.gradient for array in arrays.values())])
    # The batch is read only if the loss or a gradient is not finite.
    inputs = jax.lax.cond(
        jnp.isfinite(gradients).all(),
        lambda: jnp.zeros((), jnp.float32),
        lambda: nonfinite_share(batch),
    )
    return Numbers(flow.value, inputs, arrays, norms, broken)


def pack(numbers: Numbers, step: Any = None) -> Packed:
    """Return numbers as one array."""
    leaves, structure = jax.tree.flatten(numbers)
    # Float64 numbers stay so, and bfloat16 becomes float32, as in the statistics.
    dtype = jnp.result_type(jnp.float32, *(jnp.result_type(leaf) for leaf in leaves))
    array = jnp.concatenate([jnp.ravel(leaf).astype(dtype) for leaf in leaves])
    return Packed(
        array, step, None, structure, tuple(jnp.shape(leaf) for leaf in leaves)
    )


def unpack(packed: Packed) -> Numbers:
    """Return the numbers as NumPy arrays.

    Example:
        >>> packed = pack(Numbers(jnp.float32(0.5), 0.0, {}, {"h": jnp.ones(2)}, {}))
        >>> unpack(packed).norms
        {'h': array([1., 1.], dtype=float32)}
    """
    ends = np.cumsum([math.prod(shape) for shape in packed.shapes])
    parts = np.split(np.asarray(packed.array), ends[:-1])
    arrays = [np.reshape(*pair) for pair in zip(parts, packed.shapes, strict=True)]
    return jax.tree.unflatten(packed.structure, arrays)


def as_records(numbers: Numbers, name: str, seed: int, step: int) -> list[Record]:
    """Return the records of study `model` that `verdicts` judges.

    They say where outputs are not finite only if the loss or a gradient is not either:
    in a time loop these would be half of the records of every report, and a mask may be
    infinite on purpose.
    """
    nothing: Any = np.nan  # not measured
    taps = OrderedDict(
        (tap, TapStats(norm, nothing, nothing, nothing))
        for tap, norm in numbers.norms.items()
    )
    is_broken = first_nonfinite(numbers) is not None
    broken = {"nonfinite_share": numbers.broken} if is_broken else {}
    flow = Flow(numbers.loss, None, {}, taps, {})
    records = flow_records(flow, name=name, seed=seed, step=step, metrics=broken)
    whole = records[0]._replace(place="", position=None)
    wanted = ("log10_array_gradient_norm", "log10_array_weight_norm")
    return [r for r in records if r.metric != "parameter_count"] + [
        whole._replace(metric=metric, place=place, value=value)
        for metric, place, value in array_numbers(numbers.arrays)
        if metric in wanted
    ]


def gradient_norm(numbers: Numbers) -> float:
    """Return the norm of the whole gradient."""
    return math.hypot(*(float(array.gradient) for array in numbers.arrays.values()))


def first_nonfinite(numbers: Numbers) -> tuple[str, str | None] | None:
    """Return the stage and place of the first number that is not finite, or None."""
    norms = {tap: ~np.isfinite(norm) for tap, norm in numbers.norms.items()}
    finite = lambda field: {
        name: bool(np.isfinite(getattr(array, field)))
        for name, array in numbers.arrays.items()
    }
    return nonfinite_stage(
        numbers.inputs,
        finite("weight"),
        numbers.loss,
        numbers.broken,
        norms,
        finite("gradient"),
    )
