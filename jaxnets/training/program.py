"""Whole epochs for all seeds in one compiled call."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets.data import Labelled, epoch_batches
from jaxnets.training.step import (
    Loss,
    StepReport,
    TrainState,
    make_evaluation,
    make_objective,
    make_step,
    train_state,
)


class Batches(NamedTuple):
    """Where the batches of an epoch come from.

    Attributes:
        draw: `draw(key) -> rows`, a pytree with a leading axis `(steps,)`.
        fetch: `fetch(row) -> batch`, called inside the compiled loop, so that an epoch
            is never held in memory twice.
    """

    draw: Callable[[jax.Array], Any]
    fetch: Callable[[Any], Any]


def shuffled(data: Labelled, batch_size: int) -> Batches:
    """Take `data` in batches, in a new order each epoch.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import shuffled
        >>> batches = shuffled(Labelled(jnp.arange(10.0), jnp.arange(10)), 4)
        >>> rows = batches.draw(jax.random.key(0))
        >>> rows.shape, batches.fetch(rows[0]).x.shape
        ((2, 4), (4,))
    """
    data = jax.tree.map(jnp.asarray, data)
    count = len(data.y)
    return Batches(
        lambda key: epoch_batches(key, count, batch_size),
        lambda row: jax.tree.map(lambda array: array[row], data),
    )


def generated(make: Callable[[jax.Array], Any], steps: int) -> Batches:
    """Make every batch anew with `make(key)`, `steps` of them an epoch.

    Example:
        >>> import jax
        >>> from jaxnets.data import adding_problem
        >>> from jaxnets.training import generated
        >>> batches = generated(lambda key: adding_problem(key, 8, length=20), 5)
        >>> batches.draw(jax.random.key(0)).shape
        (5,)
    """
    return Batches(lambda key: jax.random.split(key, steps), make)


class Epoch(NamedTuple):
    """What one epoch of all seeds gave; every array has a leading axis `(seeds,)`.

    Attributes:
        state: The states after it.
        reports: What each step saw, `(seeds, steps, ...)`.
        figures: Figures on the evaluation data after it, such as
            `validation_loss (seeds,)`.
    """

    state: TrainState
    reports: StepReport
    figures: dict[str, jax.Array]


class Program(NamedTuple):
    """The compiled training of one network for several seeds.

    Attributes:
        graphdef: Definition of the module.
        initial: States before training, a leading axis `(seeds,)` on every array.
        epoch: `epoch(state, key) -> Epoch`, one compiled call. The key is one for all
            seeds: they see the same data in the same order.
        replay: `replay(state, key, steps) -> (objective, arguments)` of one seed: the
            objective and its arguments after `steps` updates of the epoch of `key`.
        compile_seconds: Time that tracing and compiling took.
    """

    graphdef: nnx.GraphDef
    initial: TrainState
    epoch: Callable[[TrainState, jax.Array], Epoch]
    replay: Callable[[TrainState, jax.Array, int], tuple[Callable, tuple]]
    compile_seconds: float


def compile_program(
    make_model: Callable[[nnx.Rngs], nnx.Module],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    batches: Batches,
    evaluation: dict[str, Any],
    *,
    seeds: Sequence[int],
    over_seeds: str = "map",
    measured: bool = True,
) -> Program:
    """Compile the training of `make_model` for all `seeds` into one program.

    Args:
        make_model: Makes the network from an `nnx.Rngs`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.
        optimizer: Any Optax transform.
        batches: Where the training batches come from.
        evaluation: `{name: batch}` that the loss is evaluated on after each epoch, in
            evaluation mode, such as `{"validation": data}`.
        seeds: One network each. The same seed gives the same network.
        over_seeds: `"map"` runs the seeds in turn inside the program; `"vmap"` side by
            side. Side by side suits small matrix products. With convolutions it makes
            grouped convolutions of them, which are slow on CPUs.
        measured: Whether the steps report the statistics of the module's taps.

    Returns:
        The `Program`.

    Raises:
        ValueError: If `over_seeds` is unknown or `seeds` is empty.
    """
    if over_seeds not in ("map", "vmap"):
        raise ValueError(f"`over_seeds` is {over_seeds!r}; wanted 'map' or 'vmap'.")
    if not seeds:
        raise ValueError("`seeds` is empty; wanted at least one, such as (0,).")
    started = time.perf_counter()
    definition, initialise = _initialiser(make_model, optimizer)
    step = make_step(definition, loss, optimizer, measured=measured)
    evaluation = jax.tree.map(jnp.asarray, evaluation)

    evaluate = make_evaluation(definition, loss)

    def epoch_of_one(state: TrainState, key: jax.Array) -> Epoch:
        body = lambda state, row: step(state, batches.fetch(row))
        state, reports = jax.lax.scan(body, state, batches.draw(key))
        figures = {
            f"{name}_{figure}": value
            for name, data in evaluation.items()
            for figure, value in evaluate(state, data).items()
        }
        return Epoch(state, reports, figures)

    over = _over_seeds(over_seeds)
    # The initialisers of one seed must not depend on which other seeds there are, and
    # the generator is not the same under vmap: so always in turn.
    initial = jax.jit(lambda keys: jax.lax.map(initialise, keys))(
        jax.vmap(random_key)(jnp.asarray(seeds))
    )
    epoch = jax.jit(lambda state, key: over(lambda one: epoch_of_one(one, key))(state))
    epoch = epoch.lower(initial, random_key(0)).compile()

    def replay(state: TrainState, key: jax.Array, steps: int):
        rows = batches.draw(key)
        before = jax.tree.map(lambda array: array[:steps], rows)
        body = lambda state, row: (step(state, batches.fetch(row))[0], None)
        state, _ = jax.lax.scan(body, state, before)
        batch = batches.fetch(jax.tree.map(lambda array: array[steps], rows))
        return make_objective(definition, loss), (state.params, state.rest, batch)

    seconds = time.perf_counter() - started
    return Program(definition, initial, epoch, replay, seconds)


def random_key(seed: int | jax.Array) -> jax.Array:
    """Return the key that training draws from.

    XLA's own generator: on CPUs (jaxlib 0.12) every array of a few thousand numbers
    from JAX's default generator costs about three seconds of compile time.
    """
    return jax.random.key(seed, impl="rbg")


def _over_seeds(how: str) -> Callable:
    """Return the transform that lifts a function of one seed to all of them."""
    if how == "vmap":
        return jax.vmap
    return lambda function: functools.partial(jax.lax.map, function)


def _initialiser(make_model, optimizer) -> tuple[nnx.GraphDef, Callable]:
    """Return the graph definition and `key -> TrainState`, fit for jit."""

    def initialise(key: jax.Array) -> TrainState:
        return train_state(make_model(nnx.Rngs(key)), optimizer)[1]

    abstract = nnx.eval_shape(lambda: make_model(nnx.Rngs(0)))
    return nnx.split(abstract, nnx.Param, ...)[0], initialise
