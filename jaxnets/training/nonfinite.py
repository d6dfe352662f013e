"""Where a training first met a number that is not finite."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets.arguments import check_callable
from jaxnets.gradflow import measure
from jaxnets.gradflow.evidence.arrays import array_name
from jaxnets.gradflow.monitoring.stages import (
    first_layer,
    nonfinite_share,
    nonfinite_stage,
)
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
        stage: Which number it is, in the order of a step: `inputs`, `weights` before
            the update, `forward` (the output of a layer), `loss`, `backward` (the
            gradient at the output of a layer), `gradient` (that of a parameter), or
            `update`.
        place: The path of the layer or parameter; None for `inputs` and `loss`.
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
    started = broken_array(state.params) is None

    @jax.jit
    def advance(state: TrainState, batch: Any) -> tuple[TrainState, jax.Array]:
        after, report = step(state, batch)
        arrays = jax.tree.leaves(after.params) if started else []
        checks = [jnp.isfinite(array).all() for array in (report.loss, *arrays)]
        return after, jnp.stack(checks).all()

    for number in range(len(jax.tree.leaves(batches)[0])):
        batch = jax.tree.map(lambda array, number=number: array[number], batches)
        after, finite = advance(state, batch)
        if not finite:
            return NonFinite(number, *_stage(graphdef, loss, state, batch, after))
        state = after
    return None


def _stage(
    graphdef: nnx.GraphDef, loss: Loss, state: TrainState, batch: Any, after: TrainState
) -> tuple[str, str | None]:
    """Return the stage and place of the first number that is not finite in a step."""
    # Not under jit, which would return the taps in the order of their names.
    objective = make_objective(graphdef, with_module_taps(loss))
    flow = measure(objective, state.params, state.rest, batch, has_aux=True)
    found = nonfinite_stage(
        np.asarray(nonfinite_share(batch)),
        finite_arrays(state.params),
        flow.value,
        _shares(flow.responses),
        _shares(flow.taps),
        finite_arrays(flow.grads),
    )
    return found or ("update", broken_array(after.params))


def _shares(statistics: dict[str, Any]) -> dict[str, Any]:
    return {name: stats.nonfinite_fraction for name, stats in statistics.items()}


def finite_arrays(state: Any) -> dict[str, bool]:
    """Return whether each array is finite everywhere, by its path.

    Example:
        >>> ones = nnx.initializers.constant(jnp.inf)
        >>> model = nnx.Linear(2, 3, bias_init=ones, rngs=nnx.Rngs(0))
        >>> finite_arrays(nnx.state(model))
        {'bias': False, 'kernel': True}
    """
    return {
        array_name(path): bool(jnp.isfinite(leaf).all())
        for path, leaf in jax.tree.leaves_with_path(state)
    }


def broken_array(state: Any) -> str | None:
    """Return the path of the first array that is not finite everywhere, or None."""
    return next((name for name, ok in finite_arrays(state).items() if not ok), None)


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
    return first_layer(_shares(measure(objective, *arguments, has_aux=True).responses))
