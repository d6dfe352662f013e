"""`flow_records`: a measured network as the records that `verdicts` judges."""

import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxnets.gradflow.measurement import Flow
from jaxnets.gradflow.modules import ModuleFlow
from jaxnets.runs.records import Record
from jaxnets.tap import ResponseStats


# What `responses` holds, and the metric it is recorded as.
RESPONSE_METRICS = {
    "mean": "response_mean",
    "std": "response_std",
    "zero_fraction": "zero_share",
    "saturated_fraction": "saturated_share",
    "nonfinite_fraction": "nonfinite_share",
}
# Half of what makes a layer saturated: the upper end alone, where both are as full.
ENDS = 0.25


def flow_records(
    flow: Flow | ModuleFlow,
    responses: Mapping[str, ResponseStats] | None = None,
    *,
    name: str = "model",
    seed: int = 0,
    step: int = 0,
    stacks: str | Sequence[str] = "*block",
    metrics: Mapping[str, Any] | None = None,
) -> list[Record]:
    """Turn what `measure` or `measure_module` found into records of study `model`.

    `verdicts(flow_records(flow))` judges any network that was measured. Call it once
    for each seed, and join the lists, so that the verdicts have intervals; give two
    networks two names, and they are contrasted, seed by seed.

    A statistic of shape `()` is one place along the depth of the network, one of shape
    `(layers,)` as many places, in the order in which the taps were passed on the way
    forward. One of shape `(time,)` is a profile over time of its own.

    What saturates is seen where it is tapped. `measure_module` taps modules: of an
    activation that is a plain function between two of them, call
    `tap(activation(x), "name")` or make it a module.

    Args:
        flow: What `measure` or `measure_module` returned, outside of `jit`.
        responses: What `responses` returned, for saturated and dead layers. What
            `measure_module` returned brings its own.
        name: Of the network, as the verdicts call it.
        seed: Of the network.
        step: Updates made before it was measured.
        stacks: Patterns of the taps whose leading axis counts layers (a scanned stack)
            and not time steps. Of two axes the first counts layers, always.
        metrics: Further numbers that the verdicts know, by metric: one number for the
            network, such as `gradient_correlation`, `train_accuracy` or
            `validation_accuracy`, or a number by tap, such as `dead_share` and
            `saturated_share`, which then stands in the place of what the taps tell.

    Returns:
        Records; `position` is the place along the depth, or the time step.

    Raises:
        ValueError: If a statistic has more than two axes, or `metrics` names no tap.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import flow_records, measure, tap, verdicts
        >>> def loss(w):
        ...     h = jnp.ones(3)
        ...     for layer in range(8):
        ...         h = tap(w * h, f"layer{layer}")
        ...     return jnp.sum(h)
        >>> [verdict] = verdicts(flow_records(measure(loss, 0.1), name="eight layers"))
        >>> verdict.kind, round(verdict.number, 3)
        ('vanishing', 0.1)
    """
    if responses is None:
        responses = flow.responses if isinstance(flow, ModuleFlow) else {}
    patterns = (stacks,) if isinstance(stacks, str) else tuple(stacks)
    norms = {tap: stats.norm for tap, stats in flow.taps.items()}
    places = _places(norms, patterns)
    size = float(sum(len(found) for found in places.values() if _is_depth(found)))

    def record(metric: str, place: str, position: int | None, value: Any) -> Record:
        number = float(value)
        return Record(
            "model", name, name, size, seed, step, metric, place, position, number
        )

    def spread(metric: str, tap: str, values: Any) -> Iterator[Record]:
        flat = np.broadcast_to(np.asarray(values, np.float64), np.shape(norms[tap]))
        for (place, position), value in zip(places[tap], flat.ravel(), strict=True):
            yield record(metric, place, position, value)

    records = [record("loss", "", None, flow.value)]
    count = sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(flow.grads))
    records.append(record("parameter_count", "", None, count))
    given = metrics or {}
    for tap, stats in flow.taps.items():
        records += spread("log10_gradient_norm", tap, _log10(stats.norm))
        for field, metric in RESPONSE_METRICS.items() if tap in responses else ():
            values = _response(responses[tap], field)
            if values is not None and metric not in given:
                records += spread(metric, tap, values)
    for metric, values in given.items():
        if not isinstance(values, Mapping):
            records.append(record(metric, "", None, values))
            continue
        for tap, value in values.items():
            if tap not in places:
                raise ValueError(
                    f"`metrics` has {metric!r} at {tap!r}, which is no tap of `flow`; "
                    f"wanted one of {', '.join(places)}."
                )
            records += spread(metric, tap, value)
    return records


def _response(stats: ResponseStats, field: str) -> Any:
    """Return a statistic, or None where it says nothing about this tap."""
    if field == "saturated_fraction":
        # Only what stays within the range of tanh or sigmoid can be at its ends.
        if not np.all(np.asarray(stats.max_abs) <= 1):
            return None
        upper = np.asarray(stats.saturated_fraction)
        # What reaches 1 and not beyond so often ends there; then values next to 0 are
        # the other end of a sigmoid. Of a tanh hardly any are just there.
        return upper + np.where(upper >= ENDS, stats.shut_fraction, 0.0)
    return getattr(stats, field)


def _log10(norm: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log10(np.asarray(norm, np.float64))


def _is_depth(places: list[tuple[str, int]]) -> bool:
    """Return whether every place has a name of its own."""
    return len({place for place, _ in places}) == len(places)


def _places(
    norms: Mapping[str, Any], patterns: tuple[str, ...]
) -> dict[str, list[tuple[str, int]]]:
    """Return, for each tap, name and position of each of its numbers."""
    places: dict[str, list[tuple[str, int]]] = {}
    depth = 0
    for tap, norm in norms.items():
        shape = np.shape(norm)
        stacked = any(fnmatch.fnmatchcase(tap.partition("#")[0], p) for p in patterns)
        if len(shape) > 2:
            raise ValueError(
                f"The tap {tap!r} has statistics of shape {shape}; wanted (), "
                "(layers,), (time,) or (layers, time). Under `vmap` take one example "
                "or seed at a time: `jax.tree.map(lambda values: values[0], flow)`."
            )
        if len(shape) == 2:
            layers, steps = shape
            places[tap] = [
                (f"{tap}[{layer}]", t) for layer in range(layers) for t in range(steps)
            ]
        elif shape and not stacked:
            places[tap] = [(tap, t) for t in range(shape[0])]
        else:
            layers = shape[0] if shape else 1
            names = [f"{tap}[{n}]" for n in range(layers)] if shape else [tap]
            places[tap] = [(place, depth + n) for n, place in enumerate(names)]
            depth += layers
    return places
