"""One training step as a pure function of an NNX module and an Optax transform."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets.arguments import described
from jaxnets.gradflow import ResponseStats, Schedule, TapStats, measure
from jaxnets.gradflow.capture.classes import insert_taps
from jaxnets.training.arguments import (
    check_boolean,
    check_graphdef,
    check_loss,
    check_module,
    check_optimizer,
    check_optional_callable,
    checked_loss,
)


Loss = Callable[[Any, Any], tuple[jax.Array, dict[str, jax.Array]]]
# `MultiSteps` has the functions of a transform without being one.
Optimizer = optax.GradientTransformation | optax.MultiSteps
Watch = Callable[[dict[str, TapStats], dict[str, ResponseStats]], Any]


class TrainState(NamedTuple):
    """Everything that an update changes, as a pytree.

    Attributes:
        params: The variables of type `nnx.Param`.
        rest: All other variables, such as BatchNorm's statistics and dropout's random
            state.
        opt_state: The state of the Optax transform.
        step: Number of updates so far.

    Example:
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.training import train_state
        >>> _, state = train_state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), optax.sgd(0.1))
        >>> state.params["kernel"].shape, state.rest == nnx.State({})
        ((2, 3), True)
    """

    params: nnx.State
    rest: nnx.State
    opt_state: optax.OptState
    step: jax.Array


class StepReport(NamedTuple):
    """The loss and the statistics of one step, before its update.

    Attributes:
        loss: The loss on the batch.
        figures: Other figures that the loss function returns, such as the accuracy.
        watched: The statistics that `watch` selects; None without `watch`. In steps
            that `schedule` leaves out its floats are NaN and its integers zero.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import make_step, regression, train_state
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> graphdef, state = train_state(model, optax.sgd(0.1))
        >>> step = make_step(graphdef, regression, optax.sgd(0.1))
        >>> _, report = step(state, Labelled(jnp.ones((4, 2)), jnp.ones((4, 1))))
        >>> report.loss.shape, list(report.figures), report.watched
        ((), ['accuracy'], None)
    """

    loss: jax.Array
    figures: dict[str, jax.Array]
    watched: Any


def train_state(
    model: nnx.Module, optimizer: Optimizer
) -> tuple[nnx.GraphDef, TrainState]:
    """Split a module into its graph definition and a fresh `TrainState`.

    Args:
        model: The network. It is not changed.
        optimizer: Any Optax transform.

    Returns:
        The graph definition, which training does not change, and the state before the
        first step.

    Raises:
        TypeError: If `model` is not an `nnx.Module`, or `optimizer` not an Optax
            transform.

    Example:
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.training import train_state
        >>> _, state = train_state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), optax.sgd(0.1))
        >>> int(state.step)
        0
    """
    check_module("model", model)
    check_optimizer(optimizer)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    step = jnp.zeros((), jnp.int32)
    return graphdef, TrainState(params, rest, optimizer.init(params), step)


def make_objective(graphdef: nnx.GraphDef, loss: Loss) -> Callable[..., Any]:
    """Return the pure `objective(params, rest, batch) -> (loss, (figures, rest))`.

    Differentiate it with `jax.value_and_grad` or `jaxnets.gradflow.measure`, both with
    `has_aux=True`. It returns `rest` with the changes that the module made, such as new
    BatchNorm statistics.

    Args:
        graphdef: The graph definition of the module, from `train_state`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.

    Returns:
        The objective.

    Raises:
        TypeError: If `graphdef` is not a graph definition, or `loss` not a function.
            The objective raises it if `loss` does not return such a pair.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import make_objective, regression, train_state
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> graphdef, state = train_state(model, optax.sgd(0.1))
        >>> objective = make_objective(graphdef, regression)
        >>> batch = Labelled(jnp.ones((4, 2)), jnp.ones((4, 1)))
        >>> gradient = jax.grad(objective, has_aux=True)
        >>> gradient(state.params, state.rest, batch)[0]["bias"].shape
        (1,)
    """
    check_graphdef(graphdef)
    check_loss(loss)

    def objective(params, rest, batch):
        model = nnx.merge(graphdef, params, rest, copy=True)
        value, figures = checked_loss(loss(model, batch))
        return value, (figures, nnx.split(model, nnx.Param, ...)[2])

    return objective


def make_step(
    graphdef: nnx.GraphDef,
    loss: Loss,
    optimizer: Optimizer,
    *,
    watch: Watch | None = None,
    schedule: Schedule | None = None,
) -> Callable[[TrainState, Any], tuple[TrainState, StepReport]]:
    """Return the pure `step(state, batch) -> (state, report)`, a body for `lax.scan`.

    Args:
        graphdef: The graph definition of the module, from `train_state`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.
        optimizer: Any Optax transform. Its `update` also gets `value`, the loss;
            `grad`, the gradient; and `value_fn`, a function of the parameters that
            returns the loss on this batch. Transforms such as
            `optax.contrib.reduce_on_plateau` and `optax.lbfgs` need them; the others do
            not see them.
        watch: `watch(taps, responses) -> pytree` selects the statistics that are
            reported; the others are not computed. They are those of the network's own
            taps (see `jaxnets.gradflow.measure`). A network without any, such as one of
            Flax's own layers, is tapped at the output of every module, under its path
            (see `jaxnets.gradflow.measure_module`). None measures nothing.
        schedule: The steps to measure in, such as `jaxnets.gradflow.every(64)`; None
            measures in all. The other steps run without measuring. Under `jax.vmap`
            over states every step runs both ways; under `jax.lax.map` it does not.

    Returns:
        The step. It is not jitted; compose it with `jax.jit`, `lax.scan` or `vmap`.

    Raises:
        TypeError: If an argument has the wrong type. The step raises it if `state` is
            not a `TrainState`, or a function returns a wrong type.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import make_step, regression, train_state
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> graphdef, state = train_state(model, optax.sgd(0.1))
        >>> step = jax.jit(make_step(graphdef, regression, optax.sgd(0.1)))
        >>> batch = Labelled(jnp.ones((4, 2)), jnp.ones((4, 1)))
        >>> state, first = step(state, batch)
        >>> state, second = step(state, batch)
        >>> bool(second.loss < first.loss)
        True
    """
    objective = make_objective(graphdef, loss)
    check_optimizer(optimizer)
    optimizer = _with_extra_arguments(optimizer)
    check_optional_callable("watch", watch, "`watch(taps, responses)`")
    check_optional_callable("schedule", schedule, "of the step, such as `every(64)`")

    def plain(*arguments):
        differentiate = jax.value_and_grad(objective, has_aux=True)
        (value, (figures, rest)), grads = differentiate(*arguments)
        return value, figures, rest, grads, None

    def watching(watch: Watch, *arguments):
        tapped = objective
        own = lambda *arguments: measure(objective, *arguments, has_aux=True).taps
        if not jax.eval_shape(own, *arguments):
            tapped = make_objective(graphdef, with_module_taps(loss))
        flow = measure(tapped, *arguments, has_aux=True)
        value, (figures, rest), grads, taps, responses = flow
        return value, figures, rest, grads, watch(taps, responses)

    def differentiated(number, *arguments):
        if watch is None:
            return plain(*arguments)
        measured = functools.partial(watching, watch)
        if schedule is None:
            return measured(*arguments)
        shapes = jax.eval_shape(measured, *arguments)[-1]
        unmeasured = lambda *arguments: (*plain(*arguments)[:-1], _blank(shapes))
        chosen = schedule(number)
        check_boolean("schedule(step)", chosen)
        return jax.lax.cond(chosen, measured, unmeasured, *arguments)

    def step(state: TrainState, batch) -> tuple[TrainState, StepReport]:
        check_state(state)
        value, figures, rest, grads, watched = differentiated(
            state.step, state.params, state.rest, batch
        )
        updates, opt_state = optimizer.update(
            grads,
            state.opt_state,
            state.params,
            value=value,
            grad=grads,
            value_fn=lambda params: objective(params, state.rest, batch)[0],
        )
        params = cast(nnx.State, optax.apply_updates(state.params, updates))
        state = TrainState(params, rest, opt_state, state.step + 1)
        return state, StepReport(value, figures, watched)

    return step


def with_module_taps(loss: Loss) -> Loss:
    """Return `loss` with a tap at the output of every module, under its path.

    The model is changed, so it must be a copy, as that of `make_objective` is.
    """

    def tapped(model, batch):
        insert_taps(model)
        return loss(model, batch)

    return tapped


def _with_extra_arguments(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """Return `optimizer` as a transform that takes extra arguments or ignores them."""
    if isinstance(optimizer, optax.MultiSteps):
        # It takes them, but Optax's own conversion would leave them out.
        update: Any = optimizer.update
        return optax.GradientTransformationExtraArgs(optimizer.init, update)
    return optax.with_extra_args_support(optimizer)


def check_state(state: Any) -> None:
    """Raise a TypeError unless `state` is a `TrainState`."""
    if not isinstance(state, TrainState):
        raise TypeError(
            f"`state` is {described(state)}; wanted a `TrainState`: "
            "`graphdef, state = train_state(model, optimizer)`."
        )


def _blank(shapes: Any) -> Any:
    """Return the values for statistics that were not measured."""

    def fill(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        real = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return jnp.full(leaf.shape, jnp.nan if real else 0, leaf.dtype)

    return jax.tree.map(fill, shapes)


def make_evaluation(
    graphdef: nnx.GraphDef, loss: Loss
) -> Callable[[TrainState, Any], dict[str, jax.Array]]:
    """Return `evaluate(state, batch) -> {"loss": ..., **figures}` in evaluation mode.

    In evaluation mode (`model.eval()`) BatchNorm uses its running statistics, and
    dropout does nothing.

    Args:
        graphdef: The graph definition of the module, from `train_state`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.

    Returns:
        The evaluation. It is not jitted.

    Raises:
        TypeError: If `graphdef` is not a graph definition, or `loss` not a function.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import make_evaluation, regression, train_state
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> graphdef, state = train_state(model, optax.sgd(0.1))
        >>> evaluate = make_evaluation(graphdef, regression)
        >>> list(evaluate(state, Labelled(jnp.ones((4, 2)), jnp.ones((4, 1)))))
        ['loss', 'accuracy']
    """
    check_graphdef(graphdef)
    check_loss(loss)

    def evaluate(state: TrainState, batch) -> dict[str, jax.Array]:
        check_state(state)
        model = nnx.merge(graphdef, state.params, state.rest, copy=True)
        model.eval()
        value, figures = checked_loss(loss(model, batch))
        return {"loss": value, **figures}

    return evaluate
