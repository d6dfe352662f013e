"""Training for a number of epochs, which stops at a loss that is not finite."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets.arguments import as_count, as_seed, check_callable, described
from jaxnets.gradflow import measure
from jaxnets.training.arguments import check_optional_callable
from jaxnets.training.program import Program, random_key
from jaxnets.training.step import StepReport, TrainState


class History(NamedTuple):
    """The reports and evaluations of a training, as NumPy arrays.

    `fit` returns it and has an example.

    Attributes:
        reports: The reports of all steps: arrays `(seeds, steps, ...)`.
        figures: The evaluations after each epoch: arrays `(seeds, epochs)` by name,
            such as `validation_loss`.
        steps_per_epoch: Number of updates in an epoch.
    """

    reports: StepReport
    figures: dict[str, np.ndarray]
    steps_per_epoch: int


class NonFiniteLoss(Exception):
    """A loss became NaN or infinite.

    Attributes:
        seed_index: Index of the seed among those of the program.
        step: Number of updates before the loss that is not finite.
        layer: The first tap, counted from the input, whose values are not finite in
            that step; None if the values of all taps are finite.
        history: The history of the epochs before; None in the first epoch.

    Example:
        >>> from jaxnets.training import NonFiniteLoss
        >>> str(NonFiniteLoss(0, 12, "block3", None)).partition(".")[0]
        'The loss is not finite at step 12 (seed number 0)'
    """

    def __init__(
        self, seed_index: int, step: int, layer: str | None, history: History | None
    ):
        super().__init__(
            f"The loss is not finite at step {step} (seed number {seed_index}). First "
            f"layer that is not finite: {layer or 'none, only the loss'}. Lower the "
            "learning rate, clip the gradient, or normalise the layers."
        )
        self.seed_index = seed_index
        self.step = step
        self.layer = layer
        self.history = history


def fit(
    program: Program,
    epochs: int,
    evaluation: dict[str, Any],
    *,
    data_seed: int = 0,
    on_epoch: Callable[[int, dict[str, np.ndarray]], None] | None = None,
) -> tuple[TrainState, History]:
    """Train all seeds of `program` for `epochs`.

    Args:
        program: The program of `compile_program`.
        epochs: Number of epochs, at least 1.
        evaluation: `{name: batch}`; each batch is evaluated after each epoch.
        data_seed: Seed of the data and its order.
        on_epoch: `on_epoch(number, figures)` is called after each epoch, with its
            number, counted from 1, and its evaluations.

    Returns:
        The final states and the `History` of all epochs.

    Raises:
        NonFiniteLoss: If the loss of a seed is not finite.
        TypeError: If an argument has the wrong type.
        ValueError: If `epochs` is below 1, or `data_seed` not from 0 to 2^32 - 1.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import compile_program, fit, regression, shuffled
        >>> data = Labelled(jnp.ones((6, 2)), jnp.ones((6, 1)))
        >>> make = lambda rngs: nnx.Linear(2, 1, rngs=rngs)
        >>> batches = shuffled(data, batch_size=2)
        >>> program = compile_program(
        ...     make, regression, optax.sgd(0.1), batches, seeds=(0, 1)
        ... )
        >>> _, history = fit(program, 5, {"validation": data})
        >>> history.reports.loss.shape, history.figures["validation_loss"].shape
        ((2, 15), (2, 5))
    """
    if not isinstance(program, Program):
        raise TypeError(
            f"`program` is {described(program)}; wanted what `compile_program` "
            "returned."
        )
    epochs, data_seed = as_count(epochs, "epochs"), as_seed(data_seed, "data_seed")
    if not isinstance(evaluation, Mapping) or not all(
        isinstance(name, str) for name in evaluation
    ):
        raise TypeError(
            f"`evaluation` is {described(evaluation)}; wanted a dictionary of batches "
            "by name, such as {'validation': data}, or {}."
        )
    check_optional_callable("on_epoch", on_epoch, "`on_epoch(number, figures)`")
    state, seen = program.initial, []
    key = random_key(data_seed)
    for number in range(1, epochs + 1):
        batches = program.batches(jax.random.fold_in(key, number))
        after, report = program.epoch(state, batches)
        if not np.isfinite(report.loss).all():
            raise _nonfinite_loss(
                program, state, batches, np.asarray(report.loss), seen
            )
        state = after
        figures = {
            f"{name}_{figure}": np.asarray(value)
            for name, batch in evaluation.items()
            for figure, value in program.evaluate(state, batch).items()
        }
        seen.append((jax.tree.map(np.asarray, report), figures))
        if on_epoch is not None:
            on_epoch(number, figures)
    return state, _history(seen)


def _history(seen: list[tuple[StepReport, dict[str, np.ndarray]]]) -> History:
    """Concatenate the reports of the epochs, and stack their evaluations."""
    reports = jax.tree.map(lambda *a: np.concatenate(a, axis=1), *[r for r, _ in seen])
    figures = jax.tree.map(lambda *a: np.stack(a, axis=1), *[f for _, f in seen])
    return History(reports, figures, seen[0][0].loss.shape[1])


def _nonfinite_loss(program, state, batches, losses, seen) -> NonFiniteLoss:
    """Return the error for the first step of `losses` that is not finite."""
    bad_steps, bad_seeds = np.nonzero(~np.isfinite(losses).T)
    step, seed_index = int(bad_steps[0]), int(bad_seeds[0])
    of_seed = jax.tree.map(lambda array: array[seed_index], state)
    objective, arguments = program.replay(of_seed, batches, step)
    layer = first_nonfinite_layer(objective, *arguments)
    history = _history(seen) if seen else None
    before = history.reports.loss.shape[1] if history else 0
    return NonFiniteLoss(seed_index, before + step, layer, history)


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
    # Not under jit, which would return the taps in the order of their names.
    flow = measure(objective, *arguments, has_aux=True)
    for name, response in flow.responses.items():
        bad = np.flatnonzero(np.asarray(response.nonfinite_fraction) > 0)
        if bad.size and response.nonfinite_fraction.ndim:
            return f"{name}, number {bad[0]} of {response.nonfinite_fraction.size}"
        if bad.size:
            return name
    return None
