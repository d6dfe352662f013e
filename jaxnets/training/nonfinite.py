"""Where a training first met a number that is not finite."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets.arguments import check_callable
from jaxnets.gradflow import measure
from jaxnets.training.step import (
    Loss,
    StepReport,
    TrainState,
    make_objective,
    with_module_taps,
)


class NonFinite(NamedTuple):
    """The first number of a training that is not finite.

    Attributes:
        step: Number of updates of the epoch before the step in which it occurs.
        stage: Which number it is, in the order of a step: `weights` before the update,
            `forward` (the output of a layer), `loss`, `backward` (the gradient at the
            output of a layer), `gradient` (that of a parameter), or `update`.
        place: The path of the layer or parameter; None if the stage is `loss`.
    """

    step: int
    stage: str
    place: str | None


def first_nonfinite(
    graphdef: nnx.GraphDef,
    loss: Loss,
    step: Callable[[TrainState, Any], tuple[TrainState, StepReport]],
    state: TrainState,
    batches: Any,
) -> NonFinite | None:
    """Repeat the steps of an epoch until a loss or a weight is not finite.

    Args:
        graphdef: The graph definition of the module.
        loss: The loss of the steps.
        step: The step of `make_step`.
        state: The state of one seed before the epoch.
        batches: The batches of the epoch, with a leading axis `(steps,)`.

    Returns:
        The first number that is not finite; None if all are.
    """
    step = jax.jit(step)
    started = nonfinite_array(state.params) is None
    for number in range(len(jax.tree.leaves(batches)[0])):
        batch = jax.tree.map(lambda array, number=number: array[number], batches)
        after, report = step(state, batch)
        moved = started and nonfinite_array(after.params) is not None
        if moved or not np.isfinite(report.loss):
            return NonFinite(number, *_stage(graphdef, loss, state, batch, after))
        state = after
    return None


def _stage(
    graphdef: nnx.GraphDef, loss: Loss, state: TrainState, batch: Any, after: TrainState
) -> tuple[str, str | None]:
    """Return the stage and place of the first number that is not finite in a step."""
    if array := nonfinite_array(state.params):
        return "weights", array
    # Not under jit, which would return the taps in the order of their names.
    objective = make_objective(graphdef, with_module_taps(loss))
    flow = measure(objective, state.params, state.rest, batch, has_aux=True)
    if not np.isfinite(flow.value):
        layer = _first_layer(flow.responses)
        return ("forward", layer) if layer else ("loss", None)
    if layer := _first_layer(flow.taps, backwards=True):
        return "backward", layer
    if array := nonfinite_array(flow.grads):
        return "gradient", array
    return "update", nonfinite_array(after.params)


def nonfinite_array(state: Any) -> str | None:
    """Return the path of the first array that is not finite everywhere, or None.

    Example:
        >>> model = nnx.Linear(2, 3, bias_init=nnx.initializers.constant(jnp.inf),
        ...     rngs=nnx.Rngs(0))
        >>> nonfinite_array(nnx.state(model))
        'bias'
    """
    for path, leaf in jax.tree.leaves_with_path(nnx.to_pure_dict(state)):
        if not bool(jnp.isfinite(leaf).all()):
            return jax.tree_util.keystr(path, simple=True, separator="/")
    return None


def _first_layer(statistics: dict[str, Any], *, backwards: bool = False) -> str | None:
    """Return the first tap, in the order of a pass, with values that are not finite.

    Taps of the same loop are all in one turn before any is in the next turn. So a tap
    that is bad one turn earlier than the first one comes before it, if both are in the
    same loop: their paths then have more in common than those of two loops.
    """
    turns: dict[str, int] = {}
    shares = {
        name: np.ravel(stats.nonfinite_fraction) for name, stats in statistics.items()
    }
    for name in reversed(shares) if backwards else shares:
        bad = np.flatnonzero(shares[name] > 0)
        if bad.size:
            turns[name] = int(bad[-1] if backwards else bad[0])
    if not turns:
        return None
    first = next(iter(turns))
    size, earlier = len(shares[first]), turns[first] + (1 if backwards else -1)
    common = {
        name: _common_parts(name, first)
        for name, turn in turns.items()
        if turn == earlier and len(shares[name]) == size
    }
    # `max` returns the first of several names that have as much in common.
    first = max(common, key=lambda name: common[name], default=first)
    in_loop = np.ndim(statistics[first].nonfinite_fraction) > 0
    return f"{first}, number {turns[first]} of {size}" if in_loop else first


def _common_parts(path: str, other: str) -> int:
    """Return the number of parts that two paths have in common at their start."""
    pairs = zip(path.split("/"), other.split("/"), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def first_nonfinite_layer(objective: Callable, *arguments: Any) -> str | None:
    """Return the first tap, counted from the input, with values that are not finite.

    Args:
        objective: `objective(params, ...) -> (loss, aux)`, which calls taps.
        *arguments: Its arguments.

    Returns:
        The name of the tap, with the index of the layer or time step if the tap is in
        a loop; None if the values of all taps are finite.

    Raises:
        TypeError: If `objective` is not a function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import tap
        >>> from jaxnets.training import first_nonfinite_layer
        >>> def objective(w):
        ...     h = tap(jnp.exp(w), "first")
        ...     return jnp.sum(tap(jnp.exp(h), "second")), None
        >>> first_nonfinite_layer(objective, jnp.array([10.0]))
        'second'
    """
    wanted = "a function `objective(params, ...) -> (loss, aux)`"
    check_callable("objective", objective, wanted)
    return _first_layer(measure(objective, *arguments, has_aux=True).responses)
