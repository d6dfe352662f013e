"""`flow_records`: a measured network as the records that `verdicts` judges."""

import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxnets.arguments import as_count, check_number, described
from jaxnets.gradflow.measurement import Flow, as_patterns
from jaxnets.runs.records import Record
from jaxnets.tap import ResponseStats


# A metric, the tap that it was measured at or None for the network, and its numbers.
Numbers = tuple[str, str | None, Any]
# The statistics of a response, and the metric that each is recorded as.
RESPONSE_METRICS = {
    "mean": "response_mean",
    "std": "response_std",
    "zero_fraction": "zero_share",
    "saturated_fraction": "saturated_share",
    "nonfinite_fraction": "nonfinite_share",
}
# A sigmoid that is saturated as often at 0 as at 1 has a quarter of its outputs at 1
# when half of them, the threshold for a saturated layer, are saturated.
UPPER_END = 0.25


def flow_records(
    flow: Flow,
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

    A statistic of shape `()` is one position along the depth of the network, and one of
    shape `(layers,)` is as many positions, in the order in which the forward pass
    reached the taps. A statistic of shape `(time,)` is a profile over time.

    Saturation is measured only at taps, and `measure_module` taps modules. To measure
    an activation that is a plain function between two modules, call
    `tap(activation(x), "name")` or make it a module.

    Args:
        flow: The result of `measure` or `measure_module`, outside `jit`.
        name: Name of the network in the verdicts.
        seed: Seed of the network.
        step: Number of updates before the measurement.
        stacks: Patterns of the names of taps whose only axis counts layers (of a
            scanned stack) and not time steps. Of two axes, the first always counts
            layers.
        metrics: Further numbers that have verdicts, by metric: one number for the
            network, such as `gradient_correlation`, `train_accuracy` or
            `validation_accuracy`, or numbers by tap, such as `dead_share` and
            `saturated_share`, which then replace what the taps measured.

    Returns:
        Records; `position` is the position along the depth, or the time step.

    Raises:
        TypeError: If an argument has the wrong type, or `flow` is traced.
        ValueError: If `seed` or `step` is negative, a statistic has more than two axes,
            or `metrics` names no tap or has a wrong shape.

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
    _check_flow(flow, name)
    seed = as_count(seed, "seed", minimum=0)
    step = as_count(step, "step", minimum=0, meaning="the number of updates so far")
    patterns = as_patterns(stacks, "stacks")
    given = _checked_metrics(metrics)
    norms = {tap: stats.norm for tap, stats in flow.taps.items()}
    coordinates = _coordinates(norms, patterns)
    size = float(sum(len(found) for found in coordinates.values() if _is_depth(found)))
    records = []
    for metric, tap, values in (*_measured(flow, given), *_given(given, norms)):
        shape, where = (), [("", None)]
        if tap is not None:
            shape, where = np.shape(norms[tap]), coordinates[tap]
        flat = np.broadcast_to(np.asarray(values, np.float64), shape).ravel().tolist()
        start = ("model", name, name, size, seed, step, metric)
        records += [Record(*start, *at, v) for at, v in zip(where, flat, strict=True)]
    return records


def _measured(flow: Flow, given: Mapping[str, Any]) -> Iterator[Numbers]:
    """Yield what `flow` has, but no metric of the responses that was given instead."""
    yield "loss", None, flow.value
    sizes = [math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(flow.grads)]
    yield "parameter_count", None, sum(sizes)
    for tap, stats in flow.taps.items():
        yield "log10_gradient_norm", tap, _log10(stats.norm)
        for field, metric in RESPONSE_METRICS.items() if tap in flow.responses else ():
            values = _response(flow.responses[tap], field)
            if values is not None and metric not in given:
                yield metric, tap, values


def _given(given: Mapping[str, Any], norms: Mapping[str, Any]) -> Iterator[Numbers]:
    """Yield the `metrics`, after checking their taps and shapes."""
    for metric, values in given.items():
        if not isinstance(values, Mapping):
            yield metric, None, values
            continue
        for tap, value in values.items():
            if tap not in norms:
                raise ValueError(
                    f"`metrics` has {metric!r} at {tap!r}, which is no tap of `flow`; "
                    f"wanted one of {', '.join(norms)}."
                )
            shape = np.shape(norms[tap])
            if np.shape(value) not in ((), shape):
                raise ValueError(
                    f"`metrics[{metric!r}][{tap!r}]` has shape {np.shape(value)}; "
                    f"wanted {shape}, that of the statistics of the tap, or one number."
                )
            yield metric, tap, value


def _check_flow(flow: Any, name: Any) -> None:
    """Raise an error unless `flow` measured one network, and `name` is a string."""
    if not isinstance(name, str):
        raise TypeError(f"`name` is {name!r}; wanted a string, such as 'my network'.")
    if not isinstance(flow, Flow):
        raise TypeError(
            f"`flow` is of type {type(flow).__name__}; wanted what `measure` or "
            "`measure_module` returned, a `Flow`."
        )
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(flow)):
        raise TypeError(
            "`flow` is traced; wanted the numbers. Return the flow from the jitted "
            "function, and call `flow_records` on the result."
        )
    if np.shape(flow.value):
        raise ValueError(
            f"`flow` has a loss of shape {np.shape(flow.value)}; wanted one number. "
            "Under `vmap` take one example or seed at a time: "
            "`jax.tree.map(lambda values: values[0], flow)`."
        )


def _checked_metrics(metrics: Any) -> Mapping[str, Any]:
    """Return the `metrics`; raise a TypeError unless they are numbers by name."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(
            f"`metrics` is of type {type(metrics).__name__}; wanted a dictionary of "
            "numbers by metric, such as {'train_accuracy': 0.9}."
        )
    for metric, values in metrics.items():
        if not isinstance(metric, str):
            raise TypeError(f"`metrics` has the key {metric!r}; wanted a string.")
        if not isinstance(values, Mapping):
            check_number(f"metrics[{metric!r}]", values, "a number, or numbers by tap")
            continue
        for tap, value in values.items():
            array = np.asarray(value)
            if not jnp.issubdtype(array.dtype, jnp.number):
                raise TypeError(
                    f"`metrics[{metric!r}][{tap!r}]` is {described(value)}; wanted a "
                    "number, or an array of them."
                )
    return metrics


def _response(stats: ResponseStats, field: str) -> Any:
    """Return a statistic, or None if it says nothing about this tap."""
    if field == "saturated_fraction":
        # Values outside [-1, 1] are not those of a tanh or a sigmoid.
        if not np.all(np.asarray(stats.max_abs) <= 1):
            return None
        upper = np.asarray(stats.saturated_fraction)
        # If this share of the values is at 1 and none beyond, the activation saturates
        # there. Values next to 0 are then the lower end of a sigmoid; a tanh has few.
        return upper + np.where(upper >= UPPER_END, stats.shut_fraction, 0.0)
    return getattr(stats, field)


def _log10(norm: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log10(np.asarray(norm, np.float64))


def _is_depth(coordinates: list[tuple[str, int]]) -> bool:
    """Return whether every number has a name of its own, as layers have."""
    return len({place for place, _ in coordinates}) == len(coordinates)


def _coordinates(
    norms: Mapping[str, Any], patterns: tuple[str, ...]
) -> dict[str, list[tuple[str, int]]]:
    """Return, for each tap, the name and the position of each of its numbers."""
    coordinates: dict[str, list[tuple[str, int]]] = {}
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
            coordinates[tap] = [
                (f"{tap}[{layer}]", t) for layer in range(layers) for t in range(steps)
            ]
        elif shape and not stacked:
            coordinates[tap] = [(tap, t) for t in range(shape[0])]
        else:
            layers = shape[0] if shape else 1
            names = [f"{tap}[{n}]" for n in range(layers)] if shape else [tap]
            coordinates[tap] = [(place, depth + n) for n, place in enumerate(names)]
            depth += layers
    return coordinates
