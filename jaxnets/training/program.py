"""Training of all seeds in one compiled program, an epoch in each call."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets.arguments import as_seed, check_callable, list_or_none
from jaxnets.gradflow import Schedule
from jaxnets.training.arguments import (
    check_loss,
    check_module,
    check_optimizer,
    leading_axis,
)
from jaxnets.training.batches import Batches
from jaxnets.training.nonfinite import NonFinite, first_nonfinite
from jaxnets.training.step import (
    Loss,
    Optimizer,
    StepReport,
    TrainState,
    Watch,
    make_evaluation,
    make_step,
    train_state,
)


class Program(NamedTuple):
    """The compiled training of one network for several seeds.

    `compile_program` returns it, and `fit` runs it; see their examples.

    Attributes:
        graphdef: The graph definition of the module.
        initial: The states before training, with a leading axis `(seeds,)` on every
            array.
        batches: `batches(key)` returns the batches of an epoch. All seeds train on the
            same batches; only their networks differ.
        epoch: `epoch(state, batches) -> (state, report)`, compiled. The report has the
            leading axes `(seeds, steps)`.
        evaluate: `evaluate(state, batch) -> {figure: (seeds,)}` in evaluation mode,
            compiled once for each shape of `batch`.
        first_nonfinite: `first_nonfinite(state, batches)` repeats an epoch for one seed
            up to the first number that is not finite; it returns its `step`, `stage`
            and `place`, or None.
        compile_seconds: Seconds that tracing and compiling took.
    """

    graphdef: nnx.GraphDef
    initial: TrainState
    batches: Batches
    epoch: Callable[[TrainState, Any], tuple[TrainState, StepReport]]
    evaluate: Callable[[TrainState, Any], dict[str, jax.Array]]
    first_nonfinite: Callable[[TrainState, Any], NonFinite | None]
    compile_seconds: float


def compile_program(
    make_model: Callable[[nnx.Rngs], nnx.Module],
    loss: Loss,
    optimizer: Optimizer,
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
        batches: `batches(key)` returns the batches of an epoch, with a leading axis
            `(steps,)`; see `shuffled` and `generated`.
        seeds: The seeds, one network for each. A seed gives the same network, whatever
            the other seeds are.
        over_seeds: `"map"` trains the seeds one after the other inside the program with
            `jax.lax.map`; `"vmap"` trains them at once with `jax.vmap`, which turns
            convolutions into grouped convolutions. `benchmarks/over_seeds.py` times
            both.
        watch: Selects the statistics of the taps to report; see `make_step`.
        schedule: The steps that report them; see `make_step`. With `"vmap"` the other
            steps compute the statistics too.

    Returns:
        The `Program`.

    Raises:
        TypeError: If an argument has the wrong type, or a function returns a wrong
            type.
        ValueError: If `over_seeds` is unknown, `seeds` is empty, or a seed is not from
            0 to 2^32 - 1.

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
    if isinstance(make_model, nnx.Module):
        raise TypeError(
            "`make_model` is a network; wanted a function that makes one, "
            "`make_model(rngs)`, because each seed has its own."
        )
    check_callable("make_model", make_model, "a function `make_model(rngs)`")
    check_loss(loss)
    check_optimizer(optimizer)
    check_callable("batches", batches, "a function of a key, as `shuffled` returns it")
    seeds = _checked_seeds(seeds)
    started = time.perf_counter()
    graphdef, initial = _initial_states(make_model, optimizer, seeds)
    step = make_step(graphdef, loss, optimizer, watch=watch, schedule=schedule)
    over = _in_turn
    if over_seeds == "vmap":
        over, initial = jax.vmap, _with_threefry_keys(initial)

    def epoch(state: TrainState, drawn: Any) -> tuple[TrainState, StepReport]:
        return over(lambda one: jax.lax.scan(step, one, drawn))(state)

    def evaluate(state: TrainState, batch: Any) -> dict[str, jax.Array]:
        return over(lambda one: make_evaluation(graphdef, loss)(one, batch))(state)

    def locate(state: TrainState, drawn: Any) -> NonFinite | None:
        return first_nonfinite(
            graphdef, loss, make_step(graphdef, loss, optimizer), state, drawn
        )

    drawn = batches(random_key(0))
    leading_axis("What `batches` returned", drawn, "one entry for each step")
    compiled = jax.jit(epoch).lower(initial, drawn).compile()
    seconds = time.perf_counter() - started
    return Program(
        graphdef, initial, batches, compiled, jax.jit(evaluate), locate, seconds
    )


def random_key(seed: int) -> jax.Array:
    """Return a key of the `rbg` generator, from which training draws random numbers.

    With `rbg`, XLA draws an array of random numbers in one operation. JAX's default
    generator needs many operations, which XLA compiles anew for each shape.

    Args:
        seed: The seed of the key, from 0 to 2^32 - 1.

    Returns:
        A typed key, shape ().

    Raises:
        TypeError: If `seed` is not an int.
        ValueError: If it is negative or above 2^32 - 1.

    Example:
        >>> from jaxnets.training import random_key
        >>> random_key(0).dtype
        key<rbg>
    """
    return jax.random.key(as_seed(seed, "seed"), impl="rbg")


def _checked_seeds(seeds: Any) -> list[int]:
    """Return the seeds as a list of ints."""
    found = list_or_none(seeds)
    if found is None:
        raise TypeError(
            f"`seeds` is {seeds!r}; wanted a sequence of ints, such as (0,)."
        )
    if not found:
        raise ValueError("`seeds` is empty; wanted at least one, such as (0,).")
    return [as_seed(seed, f"seeds[{index}]") for index, seed in enumerate(found)]


def _in_turn(function: Callable) -> Callable:
    """Return `function` of one seed as a function of all, one after the other."""
    return lambda states: jax.lax.map(function, states)


def _initial_states(
    make_model, optimizer, seeds: Sequence[int]
) -> tuple[nnx.GraphDef, TrainState]:
    """Make the network of each seed and stack their states.

    This is not jitted, so that JAX compiles each operation of the initialisers once,
    and not one program for each network.
    """
    made = []
    for seed in seeds:
        model = make_model(nnx.Rngs(random_key(seed)))
        check_module("make_model(rngs)", model)
        made.append(train_state(model, optimizer))
    stack = lambda *arrays: jnp.stack(arrays)
    return made[0][0], jax.tree.map(stack, *[state for _, state in made])


def _with_threefry_keys(state: TrainState) -> TrainState:
    """Replace the `rbg` keys of dropout by `threefry2x32` keys.

    Under `vmap` the `rbg` generator draws all numbers from the first key of the batch,
    so a seed's dropout would depend on the other seeds.
    """

    def convert(array: jax.Array) -> jax.Array:
        if not jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            return array
        # An `rbg` key of `random_key` consists of two equal threefry keys.
        words = jax.random.key_data(array)[..., :2]
        return jax.random.wrap_key_data(words, impl="threefry2x32")

    return state._replace(rest=jax.tree.map(convert, state.rest))
