"""One training step as a pure function over an NNX module and an Optax transform."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets.gradflow import ResponseStats, Schedule, TapStats, measure


Loss = Callable[[Any, Any], tuple[jax.Array, dict[str, jax.Array]]]
Watch = Callable[[dict[str, TapStats], dict[str, ResponseStats]], Any]


class TrainState(NamedTuple):
    """All that changes while a network trains; a pytree.

    Attributes:
        params: The `nnx.Param`s.
        rest: All other variables: BatchNorm statistics, dropout's random state.
        opt_state: State of the Optax transform.
        step: Updates made so far.

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
    """What one step saw, before its update.

    Attributes:
        loss: The loss on the batch.
        figures: Further figures of the loss function, such as accuracy.
        watched: What `watch` picked of the taps' statistics; None without it. In
            steps that `schedule` leaves out, NaN, and zero where it is no float.

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
    model: nnx.Module, optimizer: optax.GradientTransformation
) -> tuple[nnx.GraphDef, TrainState]:
    """Split a module into its graph definition and a fresh `TrainState`.

    Args:
        model: The network; it is left as it is.
        optimizer: Any Optax transform.

    Returns:
        The definition, which never changes, and the state before the first step.

    Example:
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.training import train_state
        >>> _, state = train_state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), optax.sgd(0.1))
        >>> int(state.step)
        0
    """
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    step = jnp.zeros((), jnp.int32)
    return graphdef, TrainState(params, rest, optimizer.init(params), step)


def make_objective(graphdef: nnx.GraphDef, loss: Loss) -> Callable[..., Any]:
    """Return `objective(params, rest, batch) -> (loss, (figures, rest))`, pure.

    What `jax.value_and_grad` and `jaxnets.gradflow.measure` differentiate, both with
    `has_aux=True`; `rest` comes back as the module left it.

    Args:
        graphdef: Definition of the module, from `train_state`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.

    Returns:
        The objective.

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

    def objective(params, rest, batch):
        model = nnx.merge(graphdef, params, rest, copy=True)
        value, figures = loss(model, batch)
        return value, (figures, nnx.split(model, nnx.Param, ...)[2])

    return objective


def make_step(
    graphdef: nnx.GraphDef,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    watch: Watch | None = None,
    schedule: Schedule | None = None,
) -> Callable[[TrainState, Any], tuple[TrainState, StepReport]]:
    """Return `step(state, batch) -> (state, report)`, pure and fit for `lax.scan`.

    Args:
        graphdef: Definition of the module, from `train_state`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.
        optimizer: Any Optax transform.
        watch: `watch(taps, responses) -> pytree` picks what the report keeps of the
            statistics of the module's taps (`jaxnets.gradflow.measure`).
            What it leaves out is not computed. None measures nothing.
        schedule: In which steps to watch, such as `jaxnets.gradflow.every(64)`; None
            in all. The others run the plain step and cost what it costs. Under `vmap`
            over states both run in every step: `lax.map` has no such cost.

    Returns:
        The step. It is not jitted: compose it with `jax.jit`, `lax.scan`, `vmap`.

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

    def plain(*arguments):
        differentiate = jax.value_and_grad(objective, has_aux=True)
        (value, (figures, rest)), grads = differentiate(*arguments)
        return value, figures, rest, grads, None

    def watching(watch: Watch, *arguments):
        flow = measure(objective, *arguments, has_aux=True)
        value, (figures, rest), grads, taps, responses = flow
        return value, figures, rest, grads, watch(taps, responses)

    def differentiated(number, *arguments):
        if watch is None:
            return plain(*arguments)
        measured = functools.partial(watching, watch)
        if schedule is None:
            return measured(*arguments)
        shapes = jax.eval_shape(measured, *arguments)[-1]
        blank = lambda *arguments: (*plain(*arguments)[:-1], _nothing(shapes))
        return jax.lax.cond(schedule(number), measured, blank, *arguments)

    def step(state: TrainState, batch) -> tuple[TrainState, StepReport]:
        value, figures, rest, grads, watched = differentiated(
            state.step, state.params, state.rest, batch
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = cast(nnx.State, optax.apply_updates(state.params, updates))
        state = TrainState(params, rest, opt_state, state.step + 1)
        return state, StepReport(value, figures, watched)

    return step


def _nothing(shapes: Any) -> Any:
    """Return what stands for statistics that were not taken."""

    def fill(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        real = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return jnp.full(leaf.shape, jnp.nan if real else 0, leaf.dtype)

    return jax.tree.map(fill, shapes)


def make_evaluation(
    graphdef: nnx.GraphDef, loss: Loss
) -> Callable[[TrainState, Any], dict[str, jax.Array]]:
    """Return `evaluate(state, batch) -> {"loss": ..., **figures}` in evaluation mode.

    BatchNorm uses its running statistics and dropout is off (`model.eval()`).

    Args:
        graphdef: Definition of the module, from `train_state`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.

    Returns:
        The evaluation. It is not jitted.

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

    def evaluate(state: TrainState, batch) -> dict[str, jax.Array]:
        model = nnx.merge(graphdef, state.params, state.rest, copy=True)
        model.eval()
        value, figures = loss(model, batch)
        return {"loss": value, **figures}

    return evaluate
