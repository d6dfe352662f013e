"""Whole epochs for all seeds in one compiled call."""

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
    Watch,
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
            of images is not held in memory twice.
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


def generated(
    make: Callable[[jax.Array, int], Any], steps: int, batch_size: int
) -> Batches:
    """Make the batches anew each epoch with `make(key, count)`.

    Example:
        >>> import functools
        >>> import jax
        >>> from jaxnets.data import adding_problem
        >>> from jaxnets.training import generated
        >>> make = functools.partial(adding_problem, length=20)
        >>> generated(make, steps=5, batch_size=8).draw(jax.random.key(0)).x.shape
        (5, 8, 20, 2)
    """

    def draw(key: jax.Array) -> Any:
        split = lambda array: array.reshape(steps, batch_size, *array.shape[1:])
        return jax.tree.map(split, make(key, steps * batch_size))

    return Batches(draw, lambda batch: batch)


class Program(NamedTuple):
    """The compiled training of one network for several seeds.

    Attributes:
        graphdef: Definition of the module.
        initial: States before training, a leading axis `(seeds,)` on every array.
        draw: `draw(key) -> rows` of an epoch. They are the same for all seeds, which
            differ in their network only.
        epoch: `epoch(state, rows) -> (state, report)`, one compiled call; the report
            has leading axes `(seeds, steps)`.
        evaluate: `evaluate(state, batch) -> {figure: (seeds,)}` in evaluation mode,
            compiled for each shape of batch.
        replay: `replay(state, rows, steps) -> (objective, arguments)` of one seed: the
            objective and its arguments after `steps` updates of the epoch.
        compile_seconds: Time that tracing and compiling took.
    """

    graphdef: nnx.GraphDef
    initial: TrainState
    draw: Callable[[jax.Array], Any]
    epoch: Callable[[TrainState, Any], tuple[TrainState, StepReport]]
    evaluate: Callable[[TrainState, Any], dict[str, jax.Array]]
    replay: Callable[[TrainState, Any, int], tuple[Callable, tuple]]
    compile_seconds: float


def compile_program(
    make_model: Callable[[nnx.Rngs], nnx.Module],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    batches: Batches,
    *,
    seeds: Sequence[int],
    over_seeds: str = "map",
    watch: Watch | None = None,
) -> Program:
    """Compile the training of `make_model` for all `seeds` into one program.

    Args:
        make_model: Makes the network from an `nnx.Rngs`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.
        optimizer: Any Optax transform.
        batches: Where the training batches come from.
        seeds: One network each. The same seed gives the same network, whatever other
            seeds there are.
        over_seeds: `"map"` runs the seeds in turn inside the program; `"vmap"` side by
            side. On two CPU cores in turn is faster, for convolutions (side by side
            they are grouped convolutions) and for small recurrent networks alike.
        watch: What the steps report of the module's taps; see `make_step`.

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
    graphdef, initial = _initial_states(make_model, optimizer, seeds)
    step = make_step(graphdef, loss, optimizer, watch=watch)
    over = jax.vmap if over_seeds == "vmap" else _in_turn

    def epoch_of_one(state: TrainState, rows: Any) -> tuple[TrainState, StepReport]:
        body = lambda state, row: step(state, batches.fetch(row))
        return jax.lax.scan(body, state, rows)

    def epoch(state: TrainState, rows: Any) -> tuple[TrainState, StepReport]:
        return over(lambda one: epoch_of_one(one, rows))(state)

    def evaluate(state: TrainState, batch: Any) -> dict[str, jax.Array]:
        return over(lambda one: make_evaluation(graphdef, loss)(one, batch))(state)

    def replay(state: TrainState, rows: Any, steps: int):
        before = jax.tree.map(lambda array: array[:steps], rows)
        state, _ = epoch_of_one(state, before)
        batch = batches.fetch(jax.tree.map(lambda array: array[steps], rows))
        return make_objective(graphdef, loss), (state.params, state.rest, batch)

    compiled = jax.jit(epoch).lower(initial, batches.draw(random_key(0))).compile()
    seconds = time.perf_counter() - started
    return Program(
        graphdef, initial, batches.draw, compiled, jax.jit(evaluate), replay, seconds
    )


def random_key(seed: int) -> jax.Array:
    """Return the key that training draws from.

    XLA's own generator: on CPUs (jaxlib 0.12) every array of a few thousand numbers
    from JAX's default generator costs about three seconds of compile time.
    """
    return jax.random.key(seed, impl="rbg")


def _in_turn(function: Callable) -> Callable:
    """Lift a function of one seed to all of them, one after the other."""
    return lambda states: jax.lax.map(function, states)


def _initial_states(
    make_model, optimizer, seeds: Sequence[int]
) -> tuple[nnx.GraphDef, TrainState]:
    """Make the network of each seed and stack their states.

    Not jitted: one compiled program for each network would take longer than the
    initialisers' operations, which JAX compiles once for all networks.
    """
    made = [
        train_state(make_model(nnx.Rngs(random_key(seed))), optimizer) for seed in seeds
    ]
    stack = lambda *arrays: jnp.stack(arrays)
    return made[0][0], jax.tree.map(stack, *[state for _, state in made])
