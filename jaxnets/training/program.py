"""Whole epochs for all seeds in one compiled call."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets.gradflow import Schedule
from jaxnets.training.batches import Batches
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


class Program(NamedTuple):
    """The compiled training of one network for several seeds.

    Made by `compile_program`, with an example there; `fit` runs it.

    Attributes:
        graphdef: Definition of the module.
        initial: States before training, a leading axis `(seeds,)` on every array.
        batches: `batches(key)` draws an epoch. It is the same for all seeds, which
            differ in their network only.
        epoch: `epoch(state, batches) -> (state, report)`, one compiled call; the
            report has leading axes `(seeds, steps)`.
        evaluate: `evaluate(state, batch) -> {figure: (seeds,)}` in evaluation mode,
            compiled for each shape of batch.
        replay: `replay(state, batches, steps) -> (objective, arguments)` of one seed:
            the objective and its arguments after `steps` updates of the epoch.
        compile_seconds: Time that tracing and compiling took.
    """

    graphdef: nnx.GraphDef
    initial: TrainState
    batches: Batches
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
    schedule: Schedule | None = None,
) -> Program:
    """Compile the training of `make_model` for all `seeds` into one program.

    Args:
        make_model: Makes the network from an `nnx.Rngs`.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.
        optimizer: Any Optax transform.
        batches: `batches(key)` returns an epoch of batches, with a leading axis
            `(steps,)`; see `shuffled` and `generated`.
        seeds: One network each. The same seed gives the same network, whatever other
            seeds there are.
        over_seeds: `"map"` runs the seeds in turn inside the program; `"vmap"` side by
            side. On two CPU cores in turn is faster for convolutions, which side by
            side are grouped convolutions, and for small GRUs and LSTMs.
        watch: What the steps report of the module's taps; see `make_step`.
        schedule: In which steps they do; see `make_step`. With seeds side by side it
            saves no time.

    Returns:
        The `Program`.

    Raises:
        ValueError: If `over_seeds` is unknown or `seeds` is empty.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import compile_program, regression, shuffled
        >>> data = Labelled(jnp.ones((6, 2)), jnp.ones((6, 1)))
        >>> make = lambda rngs: nnx.Linear(2, 1, rngs=rngs)
        >>> batches = shuffled(data, batch_size=2)
        >>> program = compile_program(
        ...     make, regression, optax.sgd(0.1), batches, seeds=(0, 1)
        ... )
        >>> state, report = program.epoch(
        ...     program.initial, program.batches(jax.random.key(0))
        ... )
        >>> report.loss.shape  # (seeds, steps)
        (2, 3)
    """
    if over_seeds not in ("map", "vmap"):
        raise ValueError(f"`over_seeds` is {over_seeds!r}; wanted 'map' or 'vmap'.")
    if not seeds:
        raise ValueError("`seeds` is empty; wanted at least one, such as (0,).")
    started = time.perf_counter()
    graphdef, initial = _initial_states(make_model, optimizer, seeds)
    step = make_step(graphdef, loss, optimizer, watch=watch, schedule=schedule)
    over = _in_turn
    if over_seeds == "vmap":
        over, initial = jax.vmap, _each_its_own_bits(initial)

    def epoch(state: TrainState, drawn: Any) -> tuple[TrainState, StepReport]:
        return over(lambda one: jax.lax.scan(step, one, drawn))(state)

    def evaluate(state: TrainState, batch: Any) -> dict[str, jax.Array]:
        return over(lambda one: make_evaluation(graphdef, loss)(one, batch))(state)

    def replay(state: TrainState, drawn: Any, steps: int):
        before = jax.tree.map(lambda array: array[:steps], drawn)
        state, _ = jax.lax.scan(step, state, before)
        batch = jax.tree.map(lambda array: array[steps], drawn)
        return make_objective(graphdef, loss), (state.params, state.rest, batch)

    compiled = jax.jit(epoch).lower(initial, batches(random_key(0))).compile()
    seconds = time.perf_counter() - started
    return Program(
        graphdef, initial, batches, compiled, jax.jit(evaluate), replay, seconds
    )


def random_key(seed: int) -> jax.Array:
    """Return the key that training draws from, of XLA's own generator.

    On CPUs (jaxlib 0.12) every array of a few thousand numbers from JAX's default
    generator costs about three seconds of compile time.

    Args:
        seed: Which key.

    Returns:
        A typed key, shape ().

    Example:
        >>> from jaxnets.training import random_key
        >>> random_key(0).dtype
        key<rbg>
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


def _each_its_own_bits(state: TrainState) -> TrainState:
    """Hand the random state of dropout to a generator that `vmap` keeps apart.

    Side by side, XLA's own generator draws for all seeds from the key of the first, so
    a seed's dropout would depend on which other seeds there are.
    """

    def convert(array: jax.Array) -> jax.Array:
        if not jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            return array
        # A key of `random_key` is a threefry key twice over.
        words = jax.random.key_data(array)[..., :2]
        return jax.random.wrap_key_data(words, impl="threefry2x32")

    return state._replace(rest=jax.tree.map(convert, state.rest))
